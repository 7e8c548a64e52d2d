//! Identifies a process by its pid and start time, so that a later process with the same pid is not mistaken for it.

use std::{fs, io, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::wait::{self, TimedOut};

/// Unit of the times in `/proc`: 100 per second on every architecture that Linux servers run on.
const USER_HZ: u64 = 100;

/// A process: its pid and when it started (clock ticks since boot, field 22 of `/proc/PID/stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub started: u64,
}

impl Identity {
    /// Stands for a process that has ended.
    pub(crate) const NOBODY: Self = Self { pid: 0, started: 0 };

    /// The process that has this pid.
    ///
    /// # Errors
    /// `NotFound` when there is none (a zombie counts as none).
    pub fn of(pid: i32) -> io::Result<Self> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("no process {pid}"));
        let Stat {
            state,
            threads,
            started,
        } = stat(pid).ok_or_else(gone)?;
        // The first thread of a killed process may be a zombie while other threads still hold its sockets and locks.
        let ended = match state {
            'Z' => threads <= 1,
            state => state == 'X',
        };
        if ended { Err(gone()) } else { Ok(Self { pid, started }) }
    }

    /// The process named by a pid file.
    ///
    /// # Errors
    /// When the file is missing or holds no pid, or the process is gone.
    pub fn from_pid_file(file: &std::path::Path) -> io::Result<Self> {
        let text = fs::read_to_string(file)?;
        let pid = text
            .trim()
            .parse()
            .map_err(|_| io::Error::other(format!("{} holds no pid", file.display())))?;
        Self::of(pid)
    }

    /// Whether this process still runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        Self::of(self.pid).is_ok_and(|current| current == *self)
    }

    /// Sends a signal, unless the process is gone already.
    pub fn signal(&self, signal: Signal) {
        if self.alive()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // The process may end before the signal arrives, which is what the caller wanted.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until the process is gone.
    pub async fn gone(&self, deadline: Duration) -> Result<Duration, TimedOut> {
        wait::until(deadline, format!("process {} to end", self.pid), async || !self.alive()).await
    }

    /// `signal`, and SIGKILL when the process has not ended by the deadline.
    pub async fn stop(&self, signal: Signal, deadline: Duration) {
        self.signal(signal);
        if self.gone(deadline).await.is_err() {
            self.kill().await;
        }
    }

    /// kill -9.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        // Only a process that is stuck in the kernel survives this, and nothing more can be done.
        let _ = self.gone(Duration::from_secs(10)).await;
    }

    /// CPU time used so far, in user and kernel mode together.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 1000 / USER_HZ))
    }
}

/// Fields 3, 20 and 22 of `/proc/PID/stat`.
struct Stat {
    state: char,
    threads: u32,
    started: u64,
}

/// The command name before these fields may hold spaces and brackets.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let threads = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some(Stat {
        state,
        threads,
        started,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_pid_is_another_process() {
        let me = Identity::of(std::process::id().cast_signed()).unwrap();
        assert!(me.alive());
        assert!(
            !Identity {
                started: me.started + 1,
                ..me
            }
            .alive()
        );
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        while stat(pid).is_some_and(|stat| stat.state != 'Z') {
            std::thread::yield_now();
        }
        assert!(Identity::of(pid).is_err());
        child.wait().unwrap();
    }
}
