//! The task that keeps the process.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use vpnmanager_runtime::{backoff::Backoff, error_chain::chain};

use super::{
    daemon,
    error::StartError,
    found::Found,
    launch::Launch,
    log_file::reason,
    status::{Phase, ProcessStatus},
};
use crate::{allow_list::AllowList, backend::Serving, groups::Definitions, openvpn::tunnel::RunningTunnel};

/// Between two looks at a tunnel that could not be told.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// What `explicit-exit-notify 2` and a busy machine may take.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Before a start is tried again.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// Why none is started, in words; what keeps the rules from being loaded is said elsewhere.
const RULES_LACK: &str = "it is not started before the rules of the group default are loaded";
/// A server that ran this long was started well: the next retry is quick again.
const RAN_WELL: Duration = Duration::from_secs(60);

/// Keeps the process as [`Serving`] says.
#[derive(Debug)]
pub struct ProcessTask {
    launch: Launch,
    allow_list: AllowList,
    definitions: Definitions,
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
    /// A task that keeps this process, and its status. None is started while users of `default` are not held to what the definitions say, and
    /// before each start those members of groups go from the allow-list who are not held.
    pub fn new(
        launch: Launch,
        (allow_list, definitions): (AllowList, Definitions),
        serving: watch::Receiver<Serving>,
    ) -> (Self, watch::Receiver<ProcessStatus>) {
        let (status, watched) = watch::channel(ProcessStatus::default());
        (
            Self {
                launch,
                allow_list,
                definitions,
                serving,
                status,
            },
            watched,
        )
    }

    /// Runs until cancelled, and leaves the process running then.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut failures = 0_u32;
        loop {
            let process = match self.obtain(&cancel).await {
                None => return,
                Some(Ok(process)) => process,
                Some(Err(failure)) => {
                    error!(error = %chain(&failure), "Could not start OpenVPN");
                    self.failed(chain(&failure).to_string());
                    failures = failures.saturating_add(1);
                    if pause(failures, &cancel).await.is_none() {
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
                        failures = 0;
                    }
                    let reason = reason(&self.launch.log_file).unwrap_or_default();
                    error!(openvpn.pid = process.pid(), openvpn.log = %reason, "OpenVPN died");
                    self.failed(format!("OpenVPN (pid {}) died: {reason}", process.pid()));
                    failures = failures.saturating_add(1);
                    if pause(failures, &cancel).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// The process that runs already, or a new one as soon as this node should serve and everybody is held to rules. None when cancelled.
    async fn obtain(&mut self, cancel: &CancellationToken) -> Option<Result<Found, StartError>> {
        loop {
            match Found::look_for(&self.launch) {
                Ok(Some(process)) => {
                    let outdated_conf = !daemon::conf_is_current(&self.launch);
                    if outdated_conf && !daemon::listens_as_wanted(&self.launch) {
                        // What management tells clients is where the agent is configured to be.
                        warn!(
                            openvpn.pid = process.pid(),
                            "The port or the protocol was changed: OpenVPN starts anew"
                        );
                        process.stop(STOP_WITHIN).await;
                        continue;
                    }
                    if outdated_conf {
                        warn!("OpenVPN runs with another configuration than the one wanted; the next start applies it");
                    }
                    info!(openvpn.pid = process.pid(), "Found OpenVPN running");
                    let capacity = outdated_conf.then(|| daemon::running_capacity(&self.launch));
                    let tunnel = outdated_conf.then(|| daemon::running_tunnel(&self.launch, process.pid()));
                    self.status.send_modify(|status| {
                        status.outdated_conf = outdated_conf;
                        status.outdated_capacity = capacity.flatten();
                        status.tunnel = tunnel.unwrap_or_default();
                    });
                    return Some(Ok(process));
                }
                Ok(None) => self.status.send_modify(|status| status.looked = true),
                Err(failure) => return Some(Err(failure)),
            }
            let is_wanted = *self.serving.borrow_and_update() == Serving::Yes;
            if is_wanted && self.definitions.is_default_held() {
                return Some(self.start().await);
            }
            match is_wanted {
                true => self.waits_for_rules(),
                false => self.set_phase(Phase::Stopped),
            }
            tokio::select! {
                () = cancel.cancelled() => return None,
                changed = self.serving.changed() => changed.ok()?,
                () = self.definitions.default_held(), if is_wanted => {}
            }
        }
    }

    async fn start(&mut self) -> Result<Found, StartError> {
        self.status.send_modify(|status| {
            status.phase = Phase::Starting;
            status.outdated_conf = false;
            status.outdated_capacity = None;
            status.tunnel = RunningTunnel::AsWanted;
        });
        self.allow_list.hold_back_unheld().map_err(StartError::Members)?;
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
            let is_untold = self.status.borrow().tunnel == RunningTunnel::Unknown;
            tokio::select! {
                () = cancel.cancelled() => return Ended::Cancelled,
                () = process.exited() => return Ended::Died,
                () = tokio::time::sleep(LOOK_AGAIN), if is_untold => self.look_at_tunnel(process.pid()),
                changed = self.serving.changed() => if changed.is_err() {
                    return Ended::Cancelled;
                },
            }
        }
    }

    /// One that was found in the moments of its start had no device yet.
    fn look_at_tunnel(&self, pid: u32) {
        let found = daemon::running_tunnel(&self.launch, pid);
        if found != RunningTunnel::Unknown {
            self.status.send_modify(|status| status.tunnel = found);
        }
    }

    fn waits_for_rules(&self) {
        warn!("OpenVPN is not started before the firewall holds the rules of the group default");
        self.status.send_modify(|status| {
            status.phase = Phase::Failed;
            RULES_LACK.clone_into(&mut status.last_failure);
        });
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

/// None when cancelled.
async fn pause(failures: u32, cancel: &CancellationToken) -> Option<()> {
    cancel
        .run_until_cancelled(tokio::time::sleep(RETRY.after(failures)))
        .await
}
