//! `certificates`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use crate::arguments::Listing;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::output::{Look, Shape, column};
use crate::values::{Moment, moment};

const CERTIFICATE: Shape = Shape {
    name: "/serial",
    columns: &[
        column("KIND", "/kind"),
        column("STATE", "/state"),
        column("DAYS LEFT", "/days_left"),
        column("ENDS", "/not_after").shown(Look::Time),
        column("RENEWS", "/renews_at").shown(Look::Time),
        column("SERVER", "/server_id"),
        column("USER", "/username"),
        column("DEVICE", "/device"),
        column("SUBJECT", "/subject"),
        column("SERIAL", "/serial"),
    ],
};

/// What to do with certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum Certificates {
    /// List certificates, the one that ends first at the top
    #[command(visible_alias = "ls")]
    List(List),
}

/// Which certificates; one must match all of it.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of the authority, of nodes, of the bus, of management's HTTPS, or of devices of users
    #[arg(long, value_parser = ["ca", "node", "bus", "https", "client"])]
    kind: Option<String>,
    /// Only those in this state
    #[arg(long, value_parser = ["valid", "expired", "revoked", "replaced"])]
    state: Option<String>,
    /// Only those that end before then: 30d (from now on), a date or a time of RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    expires_before: Option<Moment>,
    /// Only that of this node or replica of management, and those of devices whose keys this node made
    #[arg(long, value_name = "SERVER", add = ArgValueCompleter::new(names::nodes))]
    server: Option<String>,
    /// Only those of this user
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(names::users))]
    user: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

impl Certificates {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let Self::List(list) = self;
        // One time for all pages.
        let before = list.expires_before.as_ref().map(Moment::value);
        let before = before.as_ref().and_then(Value::as_str);
        let page = |size: i64, cursor: Option<String>| {
            let request = given!(
                desk.api.list_certificates().limit(size),
                cursor = cursor,
                kind = list.kind.clone(),
                state = list.state.clone(),
                expires_before = before,
                server_id = list.server.clone(),
                username = list.user.clone(),
            );
            request.send()
        };
        desk.list(&CERTIFICATE, &list.listing, page).await
    }
}
