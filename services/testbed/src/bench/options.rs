//! What to measure.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::Serialize;

/// How long a create may take until every node has applied it; after that it has failed.
pub(super) const WAIT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Bench {
    /// Seconds of each measured round
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=3600))]
    pub(super) seconds: u64,
    /// Creates per second when latency is measured
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) rate: u32,
    /// Number of clients that each create one user after the other when throughput is measured
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=250))]
    pub(super) clients: u16,
    /// Number of rounds of each kind; a round of the floor precedes each
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(super) rounds: u8,
    /// Number of nodes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(super) nodes: u8,
    /// Folder for the result, a JSON file
    #[arg(long, default_value = "target/bench")]
    pub(super) out: PathBuf,
}

impl Bench {
    /// The length of a measured round.
    pub(super) fn round(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The length of warm-ups, of rounds of the floor, and of additional measurements.
    pub(super) fn short_round(&self) -> Duration {
        (self.round() / 6).max(Duration::from_secs(1))
    }
}
