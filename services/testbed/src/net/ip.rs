//! Runs the `ip` command.

use std::{io, process::Stdio};

use tokio::process::Command;

/// An `ip` (or `nft`) command failed.
#[derive(Debug, thiserror::Error)]
pub enum IpError {
    /// The program did not start.
    #[error("cannot run {0}")]
    Run(String, #[source] io::Error),
    /// It ended with an error.
    #[error("`{command}` failed: {message}")]
    Refused {
        /// The command line.
        command: String,
        /// What it wrote to standard error.
        message: String,
    },
}

impl IpError {
    /// Whether it failed because the object exists already.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("File exists"))
    }
}

/// Runs `ip` with these arguments, split at blanks, and returns what it printed.
pub async fn ip(arguments: &str) -> Result<String, IpError> {
    run(&format!("ip {arguments}")).await
}

/// Runs a command line without quoting, split at blanks.
pub(crate) async fn run(line: &str) -> Result<String, IpError> {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null());
    let output = command
        .output()
        .await
        .map_err(|source| IpError::Run(line.to_owned(), source))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(IpError::Refused {
        command: line.to_owned(),
        message,
    })
}
