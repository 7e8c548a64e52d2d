//! How a report is told, and how the command ends.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};

use super::{report::Report, text::text_of};
use crate::process::{self, Stop};

/// How the report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people
    Text,
    /// One JSON object
    Json,
}

/// The flags of every `doctor`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// How the report is printed
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub output: Format,
    /// Tell the details too, such as each setting with its value and where it came from
    #[arg(long)]
    pub details: bool,
}

impl ReportArgs {
    /// Prints a report and ends the command.
    ///
    /// # Errors
    /// [`Stop::Failed`], exit code 1, where a check failed.
    pub fn finish(&self, report: &Report) -> Result<(), Stop> {
        process::print(&self.printed(report)?)?;
        Ok(conclude(report)?)
    }

    fn printed(&self, report: &Report) -> anyhow::Result<String> {
        Ok(match self.output {
            Format::Text => for_people(report, self.details),
            Format::Json => format!("{}\n", serde_json::to_string_pretty(report)?),
        })
    }
}

/// The report as lines for people, in colours where they are at a terminal.
#[must_use]
pub fn for_people(report: &Report, details: bool) -> String {
    text_of(report, details, wants_colours())
}

/// What follows from a report.
///
/// # Errors
/// Names the checks that failed.
pub fn conclude(report: &Report) -> anyhow::Result<()> {
    let failed = report.failed();
    anyhow::ensure!(failed.is_empty(), "these checks failed: {}", failed.join(", "));
    Ok(())
}

/// Colours are for people at a terminal who did not say that they want none.
#[expect(
    clippy::disallowed_methods,
    reason = "NO_COLOR is a convention of all programs (no-color.org) and no setting of ours"
)]
fn wants_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            check::{Check, Trouble, Verdict},
            report::{Examined, Finding},
        },
        *,
    };

    #[test]
    fn json_has_what_was_found_why_and_the_command_and_a_failure_ends_with_1() {
        let check = Check::new("disk", "Room on the disk");
        let examined = Examined {
            program: "example",
            version: "1.0.0",
        };
        let failed = Verdict::Failed(Trouble::new("full", "logs", "rm old.log"));
        let report = Report::new(examined, vec![Finding::new(&check, failed)]);
        let args = ReportArgs {
            output: Format::Json,
            details: false,
        };
        let printed: serde_json::Value = serde_json::from_str(&args.printed(&report).unwrap()).unwrap();
        assert_eq!(printed["program"], "example");
        assert_eq!(printed["outcome"], "failed");
        for (member, expected) in [
            ("id", "disk"),
            ("outcome", "failed"),
            ("found", "full"),
            ("why", "logs"),
            ("mend", "rm old.log"),
        ] {
            assert_eq!(printed["checks"][0][member], expected);
        }
        let Err(Stop::Failed(error)) = args.finish(&report) else {
            panic!("it ends with 1");
        };
        assert_eq!(error.to_string(), "these checks failed: disk");
    }
}
