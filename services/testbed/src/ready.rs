//! A part of a stack that does not come up, told with the end of its log.

use crate::{process::Process, wait::TimedOut};

/// A process did not become ready.
#[derive(thiserror::Error)]
#[error("{name} {reason}; {tail}")]
pub struct NotReady {
    name: String,
    reason: String,
    tail: String,
}

/// As Display: tests unwrap this, and a log with escaped line ends is hard to read.
impl std::fmt::Debug for NotReady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl NotReady {
    pub(crate) fn ended(process: &Process) -> Self {
        let reason = match process.exit_status() {
            Some(status) => format!("ended while starting ({status})"),
            None => "ended while starting".to_owned(),
        };
        Self {
            name: process.name().to_owned(),
            reason,
            tail: process.log().tail(),
        }
    }

    pub(crate) fn timed_out(process: &Process, timed_out: TimedOut) -> Self {
        let reason = format!("(pid {}) did not become ready: {timed_out}", process.pid());
        Self {
            name: process.name().to_owned(),
            reason,
            tail: process.log().tail(),
        }
    }
}
