//! Days of traffic.

use clap::Args;

use crate::output::{Look, Shape, column};

pub(crate) const DAY: Shape = Shape {
    name: "/day",
    columns: &[
        column("DAY", "/day"),
        column("IN", "/bytes_in").shown(Look::Bytes),
        column("OUT", "/bytes_out").shown(Look::Bytes),
        column("SESSIONS", "/sessions"),
    ],
};

/// Which days.
#[derive(Debug, Args)]
pub(crate) struct Days {
    /// The first day, such as 2026-11-01 [default: 29 days before the last]
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<String>,
    /// The last day [default: today]
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
}
