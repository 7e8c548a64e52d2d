//! What is measured, and the result.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::bench::{conditions::Conditions, load::Summary};

/// How many users, and for how long.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Scale {
    /// Users to create before anything is measured
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=5_000_000))]
    pub(super) users: u32,
    /// Further users, of a node that is away, before a node is looked at and all stand idle once more; 0: none
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub(super) further: u32,
    /// Seconds of standing idle, and of creates beside what ends access
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=3600))]
    pub(super) seconds: u64,
    /// Folder for the result, a JSON file
    #[arg(long, default_value = "target/bench")]
    pub(super) out: PathBuf,
}

/// All results.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) at: chrono::DateTime<chrono::Utc>,
    pub(super) options: Scale,
    pub(super) conditions: Conditions,
    pub(super) created_per_second: f64,
    pub(super) views: Beside,
    /// Percent of a core by program.
    pub(super) idle_percent: Vec<(String, f64)>,
    /// The same two with the further users in the database; the look is at the node that is theirs.
    pub(super) further: Option<Further>,
    /// Suspensions, deletions and revoked profiles in turn, beside something else.
    pub(super) endings: Vec<(&'static str, Ended)>,
    /// Until a node that holds all users was deregistered.
    pub(super) deregistered_seconds: f64,
    pub(super) resyncs: Resyncs,
    pub(super) memory_mib: Vec<(String, f64)>,
}

/// What costs nothing more with further users.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Further {
    pub(super) views: Beside,
    pub(super) idle_percent: Vec<(String, f64)>,
}

/// A measurement and its floor of the same minute.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Beside {
    pub(super) ours: Summary,
    pub(super) floor: Summary,
}

/// What ended access, and its floor of the same minute.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Ended {
    /// Until no node lets the user in.
    pub(super) refused: Summary,
    /// Until the request was answered: every node has applied it and management has recorded that.
    pub(super) answered: Summary,
    pub(super) floor: Summary,
}

/// A node that lost its journal, several times.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Resyncs {
    pub(super) rounds: Vec<Resync>,
    /// Seconds to pull all its commands with a bare consumer and to write them into a SQLite file.
    pub(super) floor_seconds: f64,
    pub(super) users: i64,
}

/// Seconds from the start of the agent without journal.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Resync {
    /// Until it holds every user.
    pub(super) held_seconds: f64,
    /// Until management knows that.
    pub(super) known_seconds: f64,
}
