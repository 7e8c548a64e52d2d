//! `bus`: what management knows of it, without a credential of the bus.

use clap::Subcommand;

use crate::arguments::Listing;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::output::{Look, Shape, column};

const CONNECTION: Shape = Shape {
    name: "/server_id",
    columns: &[
        column("NODE", "/server_id"),
        column("LAST SEEN", "/last_seen").shown(Look::Time),
        column("LAST SYNC", "/last_sync").shown(Look::Time),
        column("PENDING", "/sync/pending"),
        column("OLDEST PENDING", "/sync/oldest_pending_at").shown(Look::Time),
        column("LAST SEQUENCE", "/sync/last_sequence"),
        column("CUT OFF UNTIL", "/cut_off_until").shown(Look::Time),
        column("KEY", "/bus_public_key"),
    ],
};

/// What to look at.
#[derive(Debug, Subcommand)]
pub(crate) enum Bus {
    /// List the nodes on the bus: when they were heard of, what they have not applied yet, and their keys
    #[command(visible_alias = "ls")]
    List(Listing),
}

impl Bus {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let Self::List(listing) = self;
        let page =
            |size: i64, cursor: Option<String>| given!(desk.api.list_endnodes().limit(size), cursor = cursor).send();
        desk.list(&CONNECTION, listing, page).await
    }
}
