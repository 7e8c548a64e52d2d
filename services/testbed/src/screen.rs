//! Prints what a person sees: numbered steps with their results and times.

use std::{
    io::Write,
    process::ExitCode,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use vpnmanager_testbed::stack::Step;

static STEPS: AtomicU32 = AtomicU32::new(0);

/// Prints one line.
pub(crate) fn say(line: impl std::fmt::Display) {
    // If nobody reads the output any more, the work must still be finished and cleaned up.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a finished step of the stack.
pub(crate) fn step(step: &Step) {
    done(&step.what, &step.result, step.took);
}

/// Prints a finished step.
pub(crate) fn done(what: &str, result: &str, took: Duration) {
    let number = STEPS.fetch_add(1, Ordering::Relaxed) + 1;
    say(format_args!(
        "{number:>3}. {what:<44} {:>8}  {result}",
        format!("{:.2} s", took.as_secs_f64())
    ));
}

/// Prints an error with its causes to standard error, and returns the exit code of a failure.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
    ExitCode::FAILURE
}
