//! Single pings and streams of them.

use std::{
    net::Ipv4Addr,
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::process::Signal;

use super::PingStats;
use crate::{
    binaries,
    net::Namespace,
    process::{Process, SpawnError},
    wait::{self, TimedOut},
};

/// A stream could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// `ping` is not installed.
    #[error("the program `ping` is missing")]
    Missing,
    /// It did not start.
    #[error("cannot start ping")]
    Spawn(#[from] SpawnError),
}

/// Whether one ping is answered within a second.
pub async fn once(namespace: &Namespace, target: Ipv4Addr) -> bool {
    namespace.run(&format!("ping -n -c 1 -W 1 {target}")).await.is_ok()
}

/// The default time between two pings: short, so that an interruption is measured well.
const EVERY: Duration = Duration::from_millis(50);

/// Pings at a steady pace.
#[derive(Debug)]
pub struct PingStream {
    process: Process,
}

impl PingStream {
    /// A ping every 50 ms; the log is `dir/<name>.log`.
    pub fn start(namespace: &Namespace, target: Ipv4Addr, at: (&Path, &str)) -> Result<Self, PingError> {
        Self::start_every(EVERY, namespace, target, at)
    }

    /// The same with another time between pings: many streams at the same time load the machine.
    pub fn start_every(
        every: Duration,
        namespace: &Namespace,
        target: Ipv4Addr,
        (dir, name): (&Path, &str),
    ) -> Result<Self, PingError> {
        let program = binaries::tool("ping").ok_or(PingError::Missing)?;
        let spec = namespace.spec(name, program, dir, &dir.join(format!("{name}.log")));
        let every = every.as_secs_f64().to_string();
        let spec = spec.args(["-n", "-D", "-i", &every]).args([target.to_string()]);
        // The log must contain only one stream, so an older one with this name is removed.
        let _ = std::fs::remove_file(&spec.log);
        Ok(Self {
            process: Process::spawn(&spec)?,
        })
    }

    /// The result so far.
    #[must_use]
    pub fn stats(&self) -> PingStats {
        PingStats::parse(&self.process.log().text())
    }

    /// Waits until `more` further answers have come.
    pub async fn flows(&self, more: u64, deadline: Duration) -> Result<Duration, TimedOut> {
        let enough = self.stats().received + more;
        wait::until(deadline, format_args!("{more} more pings answered"), async || {
            self.stats().received >= enough
        })
        .await
    }

    /// Waits until no answer has come for `silence`, and returns how long after `since` the last answer came.
    ///
    /// # Errors
    /// [`TimedOut`] when answers keep coming.
    pub async fn falls_silent(
        &self,
        since: SystemTime,
        silence: Duration,
        deadline: Duration,
    ) -> Result<Duration, TimedOut> {
        let last = wait::until_some(deadline, "pings to stop being answered", async || {
            let last = self.stats().last_reply?;
            let quiet_from = last.max(since);
            (SystemTime::now().duration_since(quiet_from).ok()? >= silence).then_some(last)
        });
        Ok(last.await?.duration_since(since).unwrap_or_default())
    }

    /// Ends the stream and returns the whole result.
    pub async fn stop(self) -> PingStats {
        self.process.stop_with(Signal::INT, Duration::from_secs(3)).await;
        self.stats()
    }
}

impl Drop for PingStream {
    fn drop(&mut self) {
        self.process.signal(Signal::KILL);
    }
}
