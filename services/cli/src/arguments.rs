//! Flags that many commands have.

use std::time::Duration;

use clap::Args;

/// How much of a list, and how often.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// The most items to list [default: all]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) watch: Watch,
}

/// Looking again and again.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Look again and again, each 2 seconds or as often as you say, until Ctrl-C
    #[arg(long, value_name = "EVERY", num_args = 0..=1, require_equals = true, default_missing_value = "2s", value_parser = pause)]
    pub(crate) watch: Option<Duration>,
}

/// Waiting until it is true everywhere.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Wait until all nodes concerned have done it, 30 seconds at most or as long as you say
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) wait: Option<Duration>,
}

/// How long to pause between two looks. Without a pause one program would ask as much as one key may.
fn pause(text: &str) -> Result<Duration, String> {
    let pause = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match pause.is_zero() {
        true => Err("there is no pause between two looks: say 1s, for example".to_owned()),
        false => Ok(pause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_looks_again_without_a_pause() {
        assert_eq!(pause("10ms"), Ok(Duration::from_millis(10)));
        for wrong in ["0s", "0ms", "", "soon"] {
            assert!(pause(wrong).is_err(), "{wrong}");
        }
    }
}
