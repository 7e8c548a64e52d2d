//! `events`.

mod follow;
mod listening;
mod messages;

use clap::Subcommand;

use crate::desk::Desk;
use crate::failure::Failure;

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Print events as they come, until Ctrl-C; a lost connection is made again, and no event is left out
    Follow(follow::Follow),
}

impl Events {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Follow(follow) => follow.run(desk).await,
        }
    }
}
