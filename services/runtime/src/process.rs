//! How a process starts and ends: one place that prints the last error and chooses the exit code.

use std::future::Future;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use crate::config::ConfigError;
use crate::service_manager;

/// Exit code of a wrong command line or configuration.
pub const EXIT_USAGE: u8 = 2;

/// Blocking work that outlives the shutdown timeout may hold the process for this long at most.
const BLOCKING_GRACE: Duration = Duration::from_secs(1);

/// Why a process ends before or after its work.
#[derive(Debug)]
pub enum Stop {
    /// It printed what was asked for (help, version, the configuration) and has nothing more to do. Exit code 0.
    Done(String),
    /// The command line or the configuration is wrong; the text says what to change. Exit code 2.
    Usage(String),
    /// It could not do its work. Exit code 1.
    Failed(anyhow::Error),
}

impl From<ConfigError> for Stop {
    fn from(error: ConfigError) -> Self {
        Self::Usage(format!("error: {error}\n"))
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Runs the body of `main`, prints its error if there is one, also as the status of the unit, and gives the exit code: 0 done, 1 failed,
/// 2 usage.
pub fn run(body: impl FnOnce() -> Result<(), Stop>) -> ExitCode {
    match body() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Done(text)) => match print(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_closed) => ExitCode::FAILURE,
        },
        Err(Stop::Usage(text)) => {
            warn_on_stderr(&text);
            service_manager::status(&text);
            ExitCode::from(EXIT_USAGE)
        }
        Err(Stop::Failed(error)) => {
            let text = format!("error: {error:#}\n");
            warn_on_stderr(&text);
            service_manager::status(&text);
            ExitCode::FAILURE
        }
    }
}

/// Prints the answer of a command to stdout. Who reads no further, such as `head`, has enough.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Runs a future on a multi-threaded runtime and waits a second at most for blocking work left behind.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_timeout(BLOCKING_GRACE);
    Ok(output)
}

/// stderr may be closed; then the message is lost.
fn warn_on_stderr(text: &str) {
    let _closed = io::stderr().lock().write_all(text.as_bytes());
}
