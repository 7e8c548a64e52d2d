//! Restarting the OpenVPNs of a node because management asked for it, one listener after another.

use std::{mem, time::Duration};

use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use vpnmanager_nats::listeners::Listener;

use super::process::{Phase, ProcessStatus};

/// How long one may take to stop and to start again. One that stops tells its clients for 2 s, and is killed after 10.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// Asks for restarts. All clones ask for the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Restarts {
    going_on: watch::Sender<bool>,
}

impl Restarts {
    /// Asks for one. While one goes on, it is that one.
    pub(super) fn ask(&self) {
        self.going_on.send_if_modified(|going_on| !mem::replace(going_on, true));
    }

    /// Whether one was asked for that has not ended.
    pub(super) fn is_going_on(&self) -> bool {
        *self.going_on.borrow()
    }
}

/// An OpenVPN that the agent runs, as a restart sees it.
#[derive(Debug)]
pub(super) struct Restartable {
    /// What clients dial.
    pub(super) listener: Listener,
    /// Counts how often it was told to restart.
    pub(super) told: watch::Sender<u64>,
    /// The state of its process.
    pub(super) process: watch::Receiver<ProcessStatus>,
}

/// Restarts the OpenVPNs of a node when somebody asks for it.
#[derive(Debug)]
pub(super) struct RestartTask {
    restarts: Restarts,
    servers: Vec<Restartable>,
}

impl RestartTask {
    /// A task for these, in their order.
    pub(super) fn new(restarts: Restarts, servers: Vec<Restartable>) -> Self {
        Self { restarts, servers }
    }

    /// Runs until cancelled.
    pub(super) async fn run(self, cancel: CancellationToken) {
        let mut going_on = self.restarts.going_on.subscribe();
        loop {
            let asked = going_on.wait_for(|going_on| *going_on);
            let is_asked = cancel
                .run_until_cancelled(asked)
                .await
                .is_some_and(|asked| asked.is_ok());
            if !is_asked || cancel.run_until_cancelled(restart_all(&self.servers)).await.is_none() {
                return;
            }
            self.restarts.going_on.send_replace(false);
        }
    }
}

/// Where one does not come back the others are left as they are: they may serve on.
async fn restart_all(servers: &[Restartable]) {
    for server in servers {
        if !server.restart().await {
            error!(
                openvpn.listener = %server.listener,
                "OpenVPN did not come back after a restart that management asked for: the listeners behind it are not restarted"
            );
            return;
        }
    }
}

impl Restartable {
    /// True once it runs again. One that does not run is started anew anyway, as soon as it may.
    async fn restart(&self) -> bool {
        let phase = self.process.borrow().phase;
        let before = match phase {
            Phase::Running { pid, .. } => pid,
            Phase::Stopped | Phase::Starting | Phase::Stopping | Phase::Failed => return true,
        };
        info!(
            openvpn.pid = before,
            openvpn.listener = %self.listener,
            "Restarting OpenVPN: management asked for it"
        );
        self.told.send_modify(|told| *told += 1);
        let mut process = self.process.clone();
        let is_back = |status: &ProcessStatus| matches!(status.phase, Phase::Running { pid, .. } if pid != before);
        let back = timeout(BACK_WITHIN, process.wait_for(is_back)).await;
        back.is_ok_and(|back| back.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use vpnmanager_testbed::wait;

    use super::*;

    /// An OpenVPN of a test: what tells it, and its process.
    struct Told {
        told: watch::Receiver<u64>,
        process: watch::Sender<ProcessStatus>,
    }

    fn runs(pid: u32) -> Phase {
        Phase::Running {
            pid,
            since: Instant::now(),
        }
    }

    fn server(listener: &str, phase: Phase) -> (Restartable, Told) {
        let (told, heard) = watch::channel(0);
        let (process, watched) = watch::channel(ProcessStatus {
            phase,
            ..ProcessStatus::default()
        });
        let server = Restartable {
            listener: listener.parse().expect("a listener"),
            told,
            process: watched,
        };
        (server, Told { told: heard, process })
    }

    impl Told {
        async fn is_told(&mut self) {
            self.told.changed().await.expect("told");
        }

        fn is(&self, phase: Phase) {
            self.process.send_modify(|status| status.phase = phase);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_is_told_after_another_and_who_asks_meanwhile_asks_for_the_same() {
        let (udp, mut first) = server("udp:1194", runs(7));
        let (tcp, mut second) = server("tcp:443", runs(8));
        let (restarts, stop) = (Restarts::default(), CancellationToken::new());
        let task = RestartTask::new(restarts.clone(), vec![udp, tcp]);
        let look = async {
            assert!(!restarts.is_going_on());
            restarts.ask();
            first.is_told().await;
            restarts.ask();
            assert!(restarts.is_going_on());
            first.is(Phase::Stopping);
            assert_eq!(*second.told.borrow(), 0, "the first one is not back");
            first.is(runs(9));
            second.is_told().await;
            assert!(restarts.is_going_on());
            second.is(runs(10));
            let has_ended = async || !restarts.is_going_on();
            wait::until(wait::SOON, "the end", has_ended).await.expect("ended");
            assert_eq!((*first.told.borrow(), *second.told.borrow()), (1, 1));
            stop.cancel();
        };
        tokio::join!(task.run(stop.clone()), look);
    }

    #[tokio::test(start_paused = true)]
    async fn behind_one_that_does_not_come_back_nobody_is_told_and_one_that_does_not_run_is_left_alone() {
        let (stopped, idle) = server("udp:53", Phase::Failed);
        let (udp, mut first) = server("udp:1194", runs(7));
        let (tcp, second) = server("tcp:443", runs(8));
        let (restarts, stop) = (Restarts::default(), CancellationToken::new());
        let task = RestartTask::new(restarts.clone(), vec![stopped, udp, tcp]);
        let look = async {
            restarts.ask();
            first.is_told().await;
            first.is(Phase::Failed);
            tokio::time::sleep(BACK_WITHIN + Duration::from_secs(1)).await;
            assert!(!restarts.is_going_on());
            assert_eq!((*idle.told.borrow(), *second.told.borrow()), (0, 0));
            stop.cancel();
        };
        tokio::join!(task.run(stop.clone()), look);
    }
}
