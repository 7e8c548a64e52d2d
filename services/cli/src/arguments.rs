//! Flags that many commands have.

use std::time::Duration;

use clap::Args;

/// How much of a list.
#[derive(Debug, Args)]
pub(crate) struct Limit {
    /// The most items to list [default: all]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<u64>,
}

/// Looking again and again.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Look again and again, each 2 seconds or as often as you say, until Ctrl-C
    #[arg(long, value_name = "EVERY", num_args = 0..=1, require_equals = true, default_missing_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) watch: Option<Duration>,
}

/// Waiting until it is true everywhere.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Wait until all nodes concerned have done it, 30 seconds at most or as long as you say
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) wait: Option<Duration>,
}
