//! Measures a create, from the request until the last node has applied it, and the least that it could cost (the floor).

mod accounting;
mod bare_server;
mod chain;
mod command_line;
mod conditions;
mod easyrsa;
mod floor;
mod history;
mod keys;
mod load;
mod measure;
mod on_stack;
mod options;
mod page;
mod ratios;
mod report;
mod rounds;
mod scale;
mod streams;
mod verify;

use std::time::Instant;

use anyhow::Context;
use vpnmanager_testbed::{
    net::has_tunnels,
    postgres::Durability,
    stack::{Stack, StackOptions},
};

pub(crate) use chain::Chain;
pub(crate) use command_line::CommandLine;
pub(crate) use history::History;
pub(crate) use keys::Keys;
pub(crate) use load::{Latencies, Summary};
pub(crate) use options::Bench;
pub(crate) use scale::Scale;
pub(crate) use streams::Streams;

use crate::{
    interrupt::unless_interrupted,
    screen::{self, say},
};

impl Bench {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if cfg!(debug_assertions) {
            say("This is a dev build: its numbers say little. `make bench` builds for release.");
        }
        if let Err(reason) = has_tunnels() {
            say(format_args!(
                "No tunnels here ({reason}): the nodes run without OpenVPN."
            ));
        }
        unless_interrupted(self.with_stack()).await?.context("bench failed")
    }

    async fn with_stack(&self) -> anyhow::Result<()> {
        let options = StackOptions {
            nodes: self.nodes,
            durability: Durability::Durable,
            progress: screen::step,
            ..StackOptions::default()
        };
        let stack = Stack::start(options).await?;
        let measured = measure::measure(self, &stack).await;
        if measured.is_err() {
            say("Last warnings and errors of the services:");
            stack.troubles().iter().for_each(|line| say(format_args!("  {line}")));
        }
        let started = Instant::now();
        stack.down().await;
        screen::done(
            "Stop everything",
            "processes, namespaces and files are gone",
            started.elapsed(),
        );
        let result = measured?;
        say(report::table(&result));
        let file = report::store(&self.out, "creates", result.at, &result)?;
        say(format_args!("Result: {}", file.display()));
        Ok(())
    }
}
