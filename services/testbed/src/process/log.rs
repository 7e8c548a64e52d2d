//! A process's log file, read while it is written.

use std::{fs, path::PathBuf, time::Duration};

use crate::wait::{self, TimedOut};

const TAIL: usize = 40;

/// A log file that may not exist yet.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The log at `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Everything written so far; empty when the file is missing.
    #[must_use]
    pub fn text(&self) -> String {
        fs::read(&self.path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// How often `needle` was written.
    #[must_use]
    pub fn count(&self, needle: &str) -> usize {
        self.text().matches(needle).count()
    }

    /// Whether `needle` was written.
    #[must_use]
    pub fn contains(&self, needle: &str) -> bool {
        self.text().contains(needle)
    }

    /// The last lines, for an error message.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL);
        format!(
            "last lines of {}:\n  {}",
            self.path.display(),
            lines[from..].join("\n  ")
        )
    }

    /// Waits until `needle` was written `times` times.
    pub async fn wait_for(&self, needle: &str, times: usize, deadline: Duration) -> Result<Duration, TimedOut> {
        wait::until(deadline, format!("{needle:?} in {}", self.path.display()), async || {
            self.count(needle) >= times
        })
        .await
    }
}
