//! The command line.

mod client;
mod down;
mod home;
mod part;
mod share;
mod up;

use clap::{Parser, Subcommand};

/// Private stacks of VPN Manager on this machine.
#[derive(Debug, Parser)]
#[command(name = "vpnmanager-testbed", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job: create, connect, ping, delete, refuse
    Demo,
    /// Start a stack and leave it running
    Up(up::Up),
    /// Stop the running stack and remove its files
    Down(down::Down),
    /// Connect an OpenVPN client to the running stack, in the foreground, until Ctrl-C
    Client(client::Client),
    /// Stop one part of the running stack
    Stop(part::Stop),
    /// Start one part of the running stack
    Start(part::Start),
    /// Run a command whose tests share one PostgreSQL
    Share(share::Share),
    /// Measure creates and the least that they could cost, with a separate stack
    Bench(crate::bench::Bench),
    /// Measure a fleet with many users: looks, idling, suspensions beside other work, a lost journal
    Scale(crate::bench::Scale),
    /// Measure what a long history of sessions costs: who had an address, the sessions of a user, creates while old rows are deleted
    History(crate::bench::History),
    /// Measure what open streams of events cost while nothing happens
    Streams(crate::bench::Streams),
    /// Measure what the hashes of the audit trail cost creates
    Chain(crate::bench::Chain),
    /// Measure what wrong keys cost those who have the right one
    Keys(crate::bench::Keys),
    /// Measure how long `vpnmanager users list` takes, from its start to its end
    CommandLine(crate::bench::CommandLine),
    /// Change users while faults are injected, and check that every answer is true in the end
    Chaos(crate::chaos::Chaos),
    /// Attack a fleet with one node's credential and with none, and measure what that does to everybody else
    Attack(crate::attack::AttackFleet),
}

impl Cli {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Demo => crate::demo::run().await,
            Command::Up(up) => up.run().await,
            Command::Down(down) => down.run().await,
            Command::Client(client) => client.run().await,
            Command::Stop(stop) => stop.run().await,
            Command::Start(start) => start.run().await,
            Command::Share(share) => share.run().await,
            Command::Bench(bench) => bench.run().await,
            Command::Scale(scale) => scale.run().await,
            Command::History(history) => history.run().await,
            Command::Streams(streams) => streams.run().await,
            Command::Chain(chain) => chain.run().await,
            Command::Keys(keys) => keys.run().await,
            Command::CommandLine(command_line) => command_line.run().await,
            Command::Chaos(chaos) => chaos.run().await,
            Command::Attack(attack) => attack.run().await,
        }
    }
}
