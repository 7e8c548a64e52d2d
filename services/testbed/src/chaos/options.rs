//! What a run does.

use std::{path::PathBuf, time::Duration};

use clap::Args;

#[derive(Debug, Clone, Args)]
pub(crate) struct Chaos {
    /// The first seed; it decides the operations and the faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds to run, one after the other
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// How long faults are injected in each run
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    pub(super) duration: Duration,
    /// Number of nodes whose agents run OpenVPN; with tunnels there is one more whose operator does, one without any, and one for the groups
    /// that have rules
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=6))]
    pub(super) nodes: u8,
    /// Number of managements
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(super) managements: u8,
    /// Number of workers that create, change and remove users at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(super) workers: u8,
    /// Access must have ended after this time at each node that can be reached
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    pub(super) promised: Duration,
    /// Folder for the evidence (logs, journals, tables) of runs with violations and of runs that converged slowly
    #[arg(long, default_value = "target/chaos")]
    pub(super) out: PathBuf,
    /// Keep the evidence of runs without violations too
    #[arg(long)]
    pub(super) keep: bool,
}

impl Chaos {
    /// The seeds in order.
    pub(super) fn seeds(&self) -> impl Iterator<Item = u64> + use<> {
        self.seed..self.seed.saturating_add(self.seeds)
    }
}
