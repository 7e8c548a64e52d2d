//! What a fleet costs that has many users: a look at a node, standing idle, a suspension while much else is under way, and making a node
//! whole again that lost its journal.

mod endings;
mod floor;
mod measured;
mod report;
mod work;

use std::time::Duration;

use anyhow::Context as _;
use vpnmanager_testbed::{
    postgres::Durability,
    stack::{Stack, StackOptions},
};

pub(crate) use measured::Scale;

use crate::{
    interrupt::unless_interrupted,
    screen::{self, say},
};

impl Scale {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if cfg!(debug_assertions) {
            say("This is a dev build: its numbers say little. `make bench ONLY=scale` builds for release.");
        }
        unless_interrupted(self.with_stack()).await?.context("bench failed")
    }

    pub(super) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    async fn with_stack(&self) -> anyhow::Result<()> {
        let mut stack = Stack::start(StackOptions {
            durability: Durability::Durable,
            progress: screen::step,
            ..StackOptions::default()
        })
        .await?;
        let measured = work::measure(self, &mut stack).await;
        if measured.is_err() {
            say("Last warnings and errors of the services:");
            stack.troubles().iter().for_each(|line| say(format_args!("  {line}")));
        }
        stack.down().await;
        let measured = measured?;
        say(report::table(&measured));
        let file = super::report::store(&self.out, &format!("scale-{}", self.users), measured.at, &measured)?;
        say(format_args!("Result: {}", file.display()));
        Ok(())
    }
}
