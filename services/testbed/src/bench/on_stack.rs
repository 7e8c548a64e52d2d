//! What is around a measurement: it says so if the build is none for measuring, starts a stack, and takes it down.

use anyhow::Context as _;
use vpnmanager_testbed::{
    postgres::Durability,
    stack::{Stack, StackOptions},
};

use crate::{
    interrupt::unless_interrupted,
    screen::{self, say},
};

/// Measures a durable stack, which is gone afterwards. `only` is what `make bench` knows the measurement by.
pub(super) async fn on_stack<T>(
    only: &str,
    options: StackOptions,
    measure: impl AsyncFnOnce(&Stack) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if cfg!(debug_assertions) {
        say(format_args!(
            "This is a dev build: its numbers say little. `make bench ONLY={only}` builds for release."
        ));
    }
    unless_interrupted(measured(options, measure))
        .await?
        .context("bench failed")
}

async fn measured<T>(
    options: StackOptions,
    measure: impl AsyncFnOnce(&Stack) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let stack = Stack::start(StackOptions {
        durability: Durability::Durable,
        progress: screen::step,
        ..options
    })
    .await?;
    let measured = measure(&stack).await;
    if measured.is_err() {
        say("Last warnings and errors of the services:");
        stack.troubles().iter().for_each(|line| say(format_args!("  {line}")));
    }
    stack.down().await;
    measured
}
