//! Which process is OpenVPN, as the agent noted it: its id and when it started, which no other process has in common with it.

use std::fs;

use serde::{Deserialize, Serialize};
use tracing::warn;
use vpnmanager_runtime::{error_chain::chain, secret_file};

use super::launch::Launch;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its id.
    pub(super) pid: u32,
    /// When it started, in the kernel's ticks since the machine started.
    pub(super) started: u64,
}

impl Record {
    /// Of a process that runs.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field, the name, may hold anything, also brackets and spaces. The start is the 22nd (proc_pid_stat(5)).
        let (_, after_name) = stat.rsplit_once(')')?;
        let started = after_name.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// The one that was noted last.
    pub(super) fn read(launch: &Launch) -> Option<Self> {
        serde_json::from_slice(&fs::read(&launch.files.record).ok()?).ok()
    }

    /// Notes this one. Without the note the next agent looks more closely.
    pub(super) fn write(&self, launch: &Launch) {
        let text = serde_json::to_string(self).unwrap_or_default();
        if let Err(error) = secret_file::write_unsynced(&launch.files.record, text) {
            warn!(error = %chain(&error), "Which process is OpenVPN could not be noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_start_and_one_that_is_gone_has_none() {
        let own = Record::of(std::process::id()).expect("we run");
        assert_eq!(Record::of(std::process::id()), Some(own.clone()));
        assert!(own.started > 0);
        assert_eq!(Record::of(u32::MAX), None);
    }
}
