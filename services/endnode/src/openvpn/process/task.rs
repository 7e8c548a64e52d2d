//! The task that keeps the process.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use vpnmanager_runtime::{backoff::Backoff, error_chain::chain};

use super::{
    daemon,
    error::StartError,
    found::{Found, STOP_WITHIN},
    launch::Launch,
    other::Other,
    status::{Phase, ProcessStatus},
};
use crate::{
    allow_list::AllowList, backend::Serving, groups::Definitions, listening::ListenerNumber,
    openvpn::tunnel::RunningTunnel,
};

/// Between two looks at a tunnel that could not be told.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Before a start is tried again.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// Why none is started, in words; what keeps the rules from being loaded is said elsewhere.
const RULES_LACK: &str = "it is not started before the rules of the group default are loaded";
/// The same: it would take the socket away, and then nobody could cut the clients of the other one.
const OTHER_RUNS: &str = "it is started once your own OpenVPN, which answers at its management socket, has ended: stop that, and take it out of \
    the start of the machine";
/// A server that ran this long was started well: the next retry is quick again.
const RAN_WELL: Duration = Duration::from_secs(60);

/// Keeps the process as [`Serving`] says.
#[derive(Debug)]
pub struct ProcessTask {
    launch: Launch,
    conditions: StartConditions,
    wanted: Wanted,
    status: watch::Sender<ProcessStatus>,
}

/// What is wanted of the process.
#[derive(Debug)]
pub struct Wanted {
    /// Whether it should run.
    pub serving: watch::Receiver<Serving>,
    /// Counts how often it is to start anew. One that does not run when it grows does so anyway.
    pub restarts: watch::Receiver<u64>,
}

/// What a start waits for, and goes by.
#[derive(Debug, Clone)]
pub struct StartConditions {
    /// Before each start those members of groups go from the folder of this listener who are not held.
    pub allow_list: AllowList,
    /// None is started while users of `default` are not held to what they say.
    pub definitions: Definitions,
    /// The listener that it is for.
    pub number: ListenerNumber,
    /// Why none is started in this run of the agent, in words. One that runs is left as it is.
    pub obstacle: Option<String>,
}

/// Why the watch over a running process ended.
enum Ended {
    Cancelled,
    Stopped,
    Restarts,
    Died,
}

impl ProcessTask {
    /// A task that keeps this process, and its status.
    pub fn new(launch: Launch, conditions: StartConditions, wanted: Wanted) -> (Self, watch::Receiver<ProcessStatus>) {
        let (status, watched) = watch::channel(ProcessStatus::default());
        (
            Self {
                launch,
                conditions,
                wanted,
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
            // What was wanted of one before it. Once its phase is known somebody may want this one to start anew.
            self.wanted.restarts.mark_unchanged();
            self.set_phase(Phase::Running {
                pid: process.pid(),
                since: started,
            });
            match self.watch(&process, started + RAN_WELL, &cancel).await {
                Ended::Cancelled => return,
                Ended::Stopped => self.ended(Phase::Stopped),
                Ended::Restarts => self.ended(Phase::Starting),
                Ended::Died => {
                    if started.elapsed() >= RAN_WELL {
                        failures = 0;
                    }
                    let said = process.last_words(&self.launch);
                    error!(openvpn.pid = process.pid(), openvpn.log = %said, "OpenVPN died");
                    let said = if said.is_empty() {
                        "its log does not say why"
                    } else {
                        said.as_str()
                    };
                    self.failed(format!("OpenVPN (pid {}) died: {said}", process.pid()));
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
                    let outdated_conf = self.conditions.obstacle.is_none() && !daemon::conf_is_current(&self.launch);
                    if outdated_conf && !daemon::listens_as_wanted(&self.launch) {
                        // What management tells clients is where the agent is configured to be.
                        warn!(
                            openvpn.pid = process.pid(),
                            "Where this node listens, or the addresses of its listeners, were changed: OpenVPN starts anew"
                        );
                        process.stop(STOP_WITHIN).await;
                        continue;
                    }
                    if outdated_conf {
                        warn!("OpenVPN runs with another configuration than the one wanted; the next start applies it");
                    }
                    info!(openvpn.pid = process.pid(), "Found OpenVPN running");
                    let room = outdated_conf.then(|| daemon::running_room(&self.launch));
                    let tunnel = outdated_conf.then(|| daemon::running_tunnel(&self.launch, process.pid()));
                    self.status.send_modify(|status| {
                        status.outdated_conf = outdated_conf;
                        status.outdated_room = room.flatten();
                        status.tunnel = tunnel.unwrap_or_default();
                    });
                    return Some(Ok(process));
                }
                Ok(None) => {}
                Err(failure) => return Some(Err(failure)),
            }
            let other = Other::in_place_of(&self.launch).await;
            self.status.send_modify(|status| {
                status.looked = true;
                status.other_runs = other.is_some();
            });
            let is_wanted = *self.wanted.serving.borrow_and_update() == Serving::Yes;
            let StartConditions {
                definitions,
                number,
                obstacle,
                ..
            } = &self.conditions;
            let lacks_rules = !definitions.is_default_held(*number);
            match (is_wanted, obstacle) {
                (false, _) => self.ended(Phase::Stopped),
                (true, Some(obstacle)) => self.is_kept_from(obstacle),
                (true, None) if other.is_some() => self.waits_for_other(),
                (true, None) if lacks_rules => self.waits_for_rules(),
                (true, None) => return Some(self.start().await),
            }
            tokio::select! {
                () = cancel.cancelled() => return None,
                changed = self.wanted.serving.changed() => changed.ok()?,
                () = self.conditions.definitions.default_held(self.conditions.number), if lacks_rules => {}
                () = ended(other.as_ref()) => {}
            }
        }
    }

    async fn start(&mut self) -> Result<Found, StartError> {
        self.status.send_modify(|status| {
            status.phase = Phase::Starting;
            status.outdated_conf = false;
            status.outdated_room = None;
            status.tunnel = RunningTunnel::AsWanted;
        });
        let StartConditions { allow_list, number, .. } = &self.conditions;
        allow_list.hold_back_unheld_at(*number).map_err(StartError::Members)?;
        let process = daemon::start(&self.launch).await?;
        info!(openvpn.pid = process.pid(), "Started OpenVPN");
        Ok(process)
    }

    /// From `well` on it counts as started well.
    async fn watch(&mut self, process: &Found, well: Instant, cancel: &CancellationToken) -> Ended {
        loop {
            if *self.wanted.serving.borrow_and_update() == Serving::No {
                self.set_phase(Phase::Stopping);
                info!(
                    openvpn.pid = process.pid(),
                    "Stopping OpenVPN: this node must not serve"
                );
                process.stop(STOP_WITHIN).await;
                return Ended::Stopped;
            }
            let (is_untold, is_failing) = {
                let status = self.status.borrow();
                (status.tunnel == RunningTunnel::Unknown, status.is_failing)
            };
            tokio::select! {
                () = cancel.cancelled() => return Ended::Cancelled,
                () = process.exited() => return Ended::Died,
                () = tokio::time::sleep(LOOK_AGAIN), if is_untold => self.look_at_tunnel(process.pid()),
                () = tokio::time::sleep_until(well), if is_failing => {
                    self.status.send_modify(|status| status.is_failing = false);
                }
                changed = self.wanted.serving.changed() => if changed.is_err() {
                    return Ended::Cancelled;
                },
                changed = self.wanted.restarts.changed() => {
                    if changed.is_err() {
                        return Ended::Cancelled;
                    }
                    self.set_phase(Phase::Stopping);
                    process.stop(STOP_WITHIN).await;
                    return Ended::Restarts;
                }
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
        self.is_kept_from(RULES_LACK);
    }

    fn waits_for_other(&self) {
        warn!("{OTHER_RUNS}");
        self.is_kept_from(OTHER_RUNS);
    }

    /// It is wanted and not started, for this reason.
    fn is_kept_from(&self, reason: &str) {
        self.status.send_modify(|status| {
            status.phase = Phase::Failed;
            reason.clone_into(&mut status.last_failure);
        });
    }

    fn failed(&self, reason: String) {
        self.status.send_modify(|status| status.fail(reason));
    }

    fn ended(&self, phase: Phase) {
        self.status.send_modify(|status| status.end_in_good_order(phase));
    }

    fn set_phase(&self, phase: Phase) {
        self.status.send_modify(|status| status.phase = phase);
    }
}

/// When the other one may have ended; never where there is none.
async fn ended(other: Option<&Other>) {
    match other {
        Some(other) => other.ended().await,
        None => std::future::pending().await,
    }
}

/// None when cancelled.
async fn pause(failures: u32, cancel: &CancellationToken) -> Option<()> {
    cancel
        .run_until_cancelled(tokio::time::sleep(RETRY.after(failures)))
        .await
}
