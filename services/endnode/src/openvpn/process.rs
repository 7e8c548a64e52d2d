//! The OpenVPN process of a managed node: found again, started, watched, stopped.
//!
//! It is started as a daemon of its own and outlives the agent. A new agent finds it by its command line, which names the
//! configuration file that only this node has, and from then on holds a descriptor of it, so that no reused process id
//! can be mistaken for it.

mod daemon;
mod found;

use std::{error::Error, path::PathBuf, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::daemon::StartError;
use self::found::Found;
use super::management::in_words;
use crate::backend::Serving;

/// What `explicit-exit-notify 2` and a busy machine may take.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_secs(30);
/// A server that ran this long was started well: the next retry is quick again.
const RAN_WELL: Duration = Duration::from_secs(60);

/// How a managed OpenVPN is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub binary: PathBuf,
    /// Its configuration file, written at each start.
    pub conf_file: PathBuf,
    /// What that file should say.
    pub conf: String,
    /// Where it writes its process id.
    pub pid_file: PathBuf,
    /// Where it writes its log.
    pub log_file: PathBuf,
    /// The folder of its management socket, which must exist before it starts.
    pub run_dir: PathBuf,
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not running, and not meant to.
    Stopped,
    /// Being started.
    Starting,
    /// Running.
    Running {
        /// Its process id.
        pid: u32,
        /// When the agent started or found it.
        since: Instant,
    },
    /// Being stopped.
    Stopping,
    /// It died or would not start; it is tried again soon.
    Failed,
}

/// The process, for whoever watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Where it stands.
    pub phase: Phase,
    /// How often it had to be started again since the agent started.
    pub restarts: u32,
    /// Why it last failed, in words. Empty when it never did.
    pub last_failure: String,
    /// It runs with another configuration than the one wanted: the next start applies it.
    pub outdated_conf: bool,
}

impl Default for ProcessStatus {
    fn default() -> Self {
        Self {
            phase: Phase::Stopped,
            restarts: 0,
            last_failure: String::new(),
            outdated_conf: false,
        }
    }
}

/// Keeps the process as [`Serving`] says.
#[derive(Debug)]
pub struct ProcessTask {
    launch: Launch,
    serving: watch::Receiver<Serving>,
    status: watch::Sender<ProcessStatus>,
}

/// Why the watch over a running process ended.
enum Ended {
    Cancelled,
    Stopped,
    Died,
}

impl ProcessTask {
    /// A task that keeps this process, and its status.
    pub fn new(launch: Launch, serving: watch::Receiver<Serving>) -> (Self, watch::Receiver<ProcessStatus>) {
        let (status, watched) = watch::channel(ProcessStatus::default());
        (
            Self {
                launch,
                serving,
                status,
            },
            watched,
        )
    }

    /// Runs until cancelled, and leaves the process running then.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut retry_after = RETRY_FIRST;
        loop {
            let process = match self.obtain(&cancel).await {
                None => return,
                Some(Ok(process)) => process,
                Some(Err(failure)) => {
                    error!(error = &failure as &dyn Error, "Could not start OpenVPN");
                    self.failed(in_words(&failure));
                    if self.pause(&mut retry_after, &cancel).await.is_none() {
                        return;
                    }
                    continue;
                }
            };
            let started = Instant::now();
            self.set_phase(Phase::Running {
                pid: process.pid(),
                since: started,
            });
            match self.watch(&process, &cancel).await {
                Ended::Cancelled => return,
                Ended::Stopped => self.set_phase(Phase::Stopped),
                Ended::Died => {
                    if started.elapsed() >= RAN_WELL {
                        retry_after = RETRY_FIRST;
                    }
                    let tail = daemon::tail(&self.launch.log_file);
                    error!(openvpn.pid = process.pid(), openvpn.log = %tail, "OpenVPN died");
                    self.failed(format!("OpenVPN (pid {}) died; its log ends: {tail}", process.pid()));
                    if self.pause(&mut retry_after, &cancel).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// The process that runs already, or a new one as soon as this node should serve. None when cancelled.
    async fn obtain(&mut self, cancel: &CancellationToken) -> Option<Result<Found, StartError>> {
        loop {
            match Found::look_for(&self.launch) {
                Ok(Some(process)) => {
                    let outdated_conf = !daemon::conf_is_current(&self.launch);
                    if outdated_conf {
                        warn!("OpenVPN runs with another configuration than the one wanted; the next start applies it");
                    }
                    info!(openvpn.pid = process.pid(), "Found OpenVPN running");
                    self.status.send_modify(|status| status.outdated_conf = outdated_conf);
                    return Some(Ok(process));
                }
                Ok(None) => {}
                Err(failure) => return Some(Err(failure)),
            }
            if *self.serving.borrow_and_update() == Serving::Yes {
                return Some(self.start().await);
            }
            self.set_phase(Phase::Stopped);
            tokio::select! {
                () = cancel.cancelled() => return None,
                changed = self.serving.changed() => changed.ok()?,
            }
        }
    }

    async fn start(&mut self) -> Result<Found, StartError> {
        self.status.send_modify(|status| {
            status.phase = Phase::Starting;
            status.outdated_conf = false;
        });
        let process = daemon::start(&self.launch).await?;
        info!(openvpn.pid = process.pid(), "Started OpenVPN");
        Ok(process)
    }

    async fn watch(&mut self, process: &Found, cancel: &CancellationToken) -> Ended {
        loop {
            if *self.serving.borrow_and_update() == Serving::No {
                self.set_phase(Phase::Stopping);
                info!(
                    openvpn.pid = process.pid(),
                    "Stopping OpenVPN: this node must not serve"
                );
                process.stop(STOP_WITHIN).await;
                return Ended::Stopped;
            }
            tokio::select! {
                () = cancel.cancelled() => return Ended::Cancelled,
                () = process.exited() => return Ended::Died,
                changed = self.serving.changed() => if changed.is_err() {
                    return Ended::Cancelled;
                },
            }
        }
    }

    /// None when cancelled.
    async fn pause(&self, retry_after: &mut Duration, cancel: &CancellationToken) -> Option<()> {
        let pause = *retry_after;
        *retry_after = (pause * 2).min(RETRY_MOST);
        cancel.run_until_cancelled(tokio::time::sleep(pause)).await
    }

    fn failed(&self, reason: String) {
        self.status.send_modify(|status| {
            status.phase = Phase::Failed;
            status.restarts += 1;
            status.last_failure = reason;
        });
    }

    fn set_phase(&self, phase: Phase) {
        self.status.send_modify(|status| status.phase = phase);
    }
}
