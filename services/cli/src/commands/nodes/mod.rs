//! `nodes`.

mod act;
pub(super) mod named;
mod reissue;
mod traffic;

use clap::{Args, Subcommand};

use crate::arguments::{Limit, Watch};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use named::{NODE, Named};

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum Nodes {
    /// List nodes
    #[command(visible_alias = "ls")]
    List(List),
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

/// How much of the list.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    watch: Watch,
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
            Self::List(list) => list.run(desk).await,
            Self::Show(show) => {
                let look = async || desk.output.one(&NODE, &show.named.find(desk).await?);
                desk.look(&show.watch, look).await
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

impl List {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let page =
            |size: i64, cursor: Option<String>| given!(desk.api.list_endnodes().limit(size), cursor = cursor).send();
        let look = async || {
            let nodes = desk.api.pages(self.limit.limit, &page).await?;
            desk.listed(&NODE, &nodes)
        };
        desk.look(&self.watch, look).await
    }
}
