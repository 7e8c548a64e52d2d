//! `nodes`.

mod act;
pub(super) mod named;
mod reissue;
mod traffic;

use clap::{Args, Subcommand};

use crate::arguments::{Listing, Watch};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use named::{NODE, Named};

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum Nodes {
    /// List nodes
    #[command(visible_alias = "ls")]
    List(Listing),
    /// Show all that is known of a node
    Show(Show),
    /// Move the clients of a node to others, and keep new ones away
    Drain(act::Drain),
    /// End a drain
    Undrain(act::Undrain),
    /// Place new users on a node again
    Enable(act::Enable),
    /// Place no new users on a node
    Disable(act::Disable),
    /// Move a node to another pool
    Move(act::Move),
    /// Take a node out of the fleet
    Deregister(act::Deregister),
    /// Give all users whose profiles a node made new ones
    #[command(subcommand)]
    Reissue(reissue::Reissue),
    /// Show the traffic of a node, day by day
    Traffic(traffic::Traffic),
    /// Discard what a node reported of traffic, from a day on
    DiscardTraffic(traffic::Discard),
}

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    watch: Watch,
}

impl Nodes {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let page = |size: i64, cursor: Option<String>| {
                    given!(desk.api.list_endnodes().limit(size), cursor = cursor).send()
                };
                desk.list(&NODE, listing, page).await
            }
            Self::Show(show) => {
                desk.show(&NODE, &show.watch, async || show.named.find(desk).await)
                    .await
            }
            Self::Drain(drain) => drain.run(desk).await,
            Self::Undrain(undrain) => undrain.run(desk).await,
            Self::Enable(enable) => enable.run(desk).await,
            Self::Disable(disable) => disable.run(desk).await,
            Self::Move(into) => into.run(desk).await,
            Self::Deregister(deregister) => deregister.run(desk).await,
            Self::Reissue(reissue) => reissue.run(desk).await,
            Self::Traffic(traffic) => traffic.run(desk).await,
            Self::DiscardTraffic(discard) => discard.run(desk).await,
        }
    }
}
