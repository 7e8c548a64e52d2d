//! One OpenVPN of a node: its management socket, and its process where the agent runs it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use vpnmanager_nats::{ids::CommonName, listeners::Listener};

use super::{
    control_socket::{ControlError, ControlHandle, Overview},
    dynamic_half::{is_nearly_all, scarcity},
    health::health_of,
    lint::{Finding, LintedConf, Running, Severity},
    managed_tunnel::ManagedTunnel,
    process::{Phase, ProcessStatus},
};
use crate::{
    backend::{BackendError, BackendHealth, CutSessions, Parting, Session, SessionKey},
    groups::Layout,
};

/// How long a server that runs may take to take the agent's connection: it is asked every half second at least.
const ATTACHES_WITHIN: Duration = Duration::from_secs(1);
/// How long after its start, or after it was found, a server is expected to take the connection any moment.
const JUST_STARTED: Duration = Duration::from_secs(5);

/// An OpenVPN. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// What clients dial.
    pub(super) listener: Listener,
    /// Asks it.
    pub(super) control: ControlHandle,
    /// Of a managed server.
    pub(super) managed: Option<Managed>,
    /// The check of the configuration of a server that the operator runs, if its file is known.
    pub(super) conf: Option<LintedConf>,
    /// Who was connected when it was last asked, where the node has several: one alone that cannot be asked is told of as such.
    pub(super) last_told: Option<LastTold>,
}

/// Who was connected when a server was last asked. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct LastTold(Arc<Mutex<Vec<Session>>>);

/// What the agent knows of a server that it runs.
#[derive(Debug, Clone)]
pub(super) struct Managed {
    pub(super) process: watch::Receiver<ProcessStatus>,
    pub(super) tunnel: ManagedTunnel,
    /// Clients that fit at once by the configuration that is wanted.
    pub(super) capacity: u32,
    /// How many listeners the node has, which its addresses are divided among.
    pub(super) listeners: usize,
}

impl Server {
    /// What is wrong with the operator's own configuration.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.conf.as_ref().map(LintedConf::findings).unwrap_or_default()
    }

    /// Ends the sessions of these credentials.
    pub(super) async fn disconnect(&self, names: &[CommonName], parting: Parting) -> Result<CutSessions, BackendError> {
        let mut outcome = self.control.cut(names.to_vec(), parting).await;
        let is_away = matches!(outcome, Err(ControlError::Away));
        // A moment later it can be asked. One that hangs keeps nobody waiting.
        if is_away && self.has_just_started() && self.control.attached(ATTACHES_WITHIN).await {
            outcome = self.control.cut(names.to_vec(), parting).await;
        }
        self.cut_or_pending(outcome)
    }

    /// Ends one session, as this server names it.
    pub(super) async fn end(&self, session: SessionKey) -> Result<Option<String>, BackendError> {
        self.control.end(session).await.map_err(failed)
    }

    /// Ends the sessions of all who are not welcome.
    pub(super) async fn enforce(&self) -> Result<CutSessions, BackendError> {
        self.cut_or_pending(self.control.enforce().await)
    }

    /// Who is connected. It is remembered for [`Self::last_told`], where the node has several servers.
    pub(super) async fn sessions(&self) -> Result<Vec<Session>, BackendError> {
        let mut sessions = match self.control.sessions().await {
            Err(ControlError::Away) if self.has_no_sessions() => Vec::new(),
            asked => asked.map_err(failed)?,
        };
        for session in &mut sessions {
            session.listener = Some(self.listener);
        }
        if let Some(last_told) = &self.last_told {
            last_told.sessions().clone_from(&sessions);
        }
        Ok(sessions)
    }

    /// Who was connected when it last told of it; nobody once it is known that it has no sessions, and where it is the only one.
    pub(super) fn last_told(&self) -> Vec<Session> {
        let last_told = self.last_told.as_ref();
        last_told.map(|told| told.sessions().clone()).unwrap_or_default()
    }

    /// How it is.
    pub(super) async fn health(&self) -> BackendHealth {
        let process = self.managed.as_ref().map(|managed| managed.process.borrow().clone());
        let asked = self.control.overview().await;
        let link = self.control.link().borrow().clone();
        let health = health_of(process.as_ref(), asked.as_ref().ok(), &link);
        if let Ok(overview) = &asked {
            self.note(overview);
        }
        let findings = self.findings();
        let scarcity = self.scarcity(asked.as_ref().ok()).await;
        let remarks = self.remarks(process.as_ref(), asked.as_ref().ok(), scarcity, &findings);
        let detail = if health.detail.is_empty() {
            remarks
        } else {
            health.detail
        };
        let restarts = process.as_ref().map_or(0, |process| process.restarts);
        let is_failing = process.as_ref().is_some_and(|process| process.is_failing);
        let outdated = process.as_ref().and_then(ProcessStatus::running_capacity);
        let wanted = self.managed.as_ref().map_or(0, |managed| managed.capacity);
        BackendHealth {
            capacity: outdated.unwrap_or(wanted),
            restarts,
            is_failing,
            detail,
            fault: fault(&findings),
            ..health
        }
    }

    /// The check of the operator's configuration needs to know which OpenVPN runs with it.
    fn note(&self, overview: &Overview) {
        if let Some(conf) = &self.conf {
            conf.note(Running::of(overview.pid, overview.version.as_deref()));
        }
    }

    /// That clients have nearly all addresses that OpenVPN gives out as they come, where that is so. They are listed only where that may be.
    async fn scarcity(&self, overview: Option<&Overview>) -> Option<String> {
        let managed = self.managed.as_ref()?;
        let tunnel = managed.tunnel.running().filter(|tunnel| tunnel.is_split)?;
        let layout = Layout::new(tunnel.network, tunnel.network6);
        if !is_nearly_all(overview?.sessions, layout) {
            return None;
        }
        let sessions = self.control.sessions().await.ok()?;
        scarcity(&sessions, layout, managed.listeners)
    }

    /// What is worth knowing about a running server: an outdated configuration, that addresses are scarce, and the findings.
    fn remarks(
        &self,
        process: Option<&ProcessStatus>,
        overview: Option<&Overview>,
        scarcity: Option<String>,
        findings: &[Finding],
    ) -> String {
        let changed = |conf: &LintedConf| overview.is_some_and(|seen| conf.changed_since(seen.since.into()));
        let outdated = process.is_some_and(|process| process.outdated_conf) || self.conf.as_ref().is_some_and(changed);
        let outdated =
            outdated.then(|| "runs with an older server.conf; the next start applies the new one".to_owned());
        outdated
            .into_iter()
            .chain(scarcity)
            .chain(named(findings))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Whether no OpenVPN of ours runs. Of an operator's own one that cannot be asked nothing is known.
    fn has_no_sessions(&self) -> bool {
        self.managed.as_ref().is_some_and(|managed| {
            let status = managed.process.borrow();
            status.looked && matches!(status.phase, Phase::Stopped | Phase::Starting | Phase::Failed)
        })
    }

    /// Whether the agent, or the OpenVPN that it runs, started a moment ago.
    fn has_just_started(&self) -> bool {
        let Some(managed) = &self.managed else {
            return self.control.is_untried();
        };
        let phase = managed.process.borrow().phase;
        match phase {
            Phase::Running { since, .. } => self.control.is_untried() || since.elapsed() < JUST_STARTED,
            // It has no sessions, unless it was not looked for yet.
            Phase::Stopped | Phase::Starting | Phase::Failed => !self.has_no_sessions(),
            Phase::Stopping => false,
        }
    }

    /// What a server that cannot be asked still holds is ended on the next connection.
    fn cut_or_pending(&self, outcome: Result<CutSessions, ControlError>) -> Result<CutSessions, BackendError> {
        match outcome {
            Err(ControlError::Away) if self.has_no_sessions() => Ok(CutSessions::default()),
            Err(ControlError::Away) => Ok(CutSessions::pending()),
            Ok(_) | Err(_) => outcome.map_err(failed),
        }
    }
}

impl LastTold {
    fn sessions(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first error of the configuration, and how many more there are.
fn fault(findings: &[Finding]) -> Option<String> {
    let mut errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let first = &errors.next()?.message;
    Some(match errors.count() {
        0 => format!("OpenVPN's configuration: {first}"),
        more => format!("OpenVPN's configuration: {first} (and {more} more)"),
    })
}

/// The most findings that a detail names: with more of them it would be cut, and what else it says with it.
const MOST_NAMED: usize = 3;

/// The first findings, and how many more there are.
fn named(findings: &[Finding]) -> impl Iterator<Item = String> {
    let more = findings.len().saturating_sub(MOST_NAMED);
    let rest = (more > 0).then(|| format!("{more} more findings, which the log of the agent names"));
    findings.iter().take(MOST_NAMED).map(ToString::to_string).chain(rest)
}

fn failed(error: ControlError) -> BackendError {
    BackendError::Server(error.into())
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        allow_list::AllowList,
        backend::Serving,
        openvpn::{
            control_socket::{ControlTask, Controlled},
            tunnel::Tunnel,
        },
    };

    /// One behind a socket at which nobody listens, and the task that tries to connect to it.
    fn unreachable_at(
        dir: &tempfile::TempDir,
        process: Option<watch::Receiver<ProcessStatus>>,
    ) -> (Server, ControlTask) {
        let (task, control) = ControlTask::new(Controlled {
            socket: dir.path().join("no.sock"),
            allow_list: AllowList::open(dir.path().join("allow")).expect("a list"),
            listener: 0,
            serving: watch::Sender::new(Serving::Yes).subscribe(),
            logins: watch::Sender::default(),
        });
        let tunnel = Tunnel {
            device: "vpn-udp1194".parse().expect("a name"),
            network: "10.8.0.0/16".parse().expect("a network"),
            network6: None,
            is_split: true,
        };
        let managed = process.map(|process| Managed {
            tunnel: ManagedTunnel::new(tunnel, process.clone()),
            process,
            capacity: 100,
            listeners: 1,
        });
        let server = Server {
            listener: "udp:1194".parse().expect("a listener"),
            control,
            managed,
            conf: None,
            last_told: None,
        };
        (server, task)
    }

    #[test]
    fn three_findings_are_named_and_the_others_are_counted() {
        let findings = |count: usize| -> Vec<Finding> {
            let message = |number: usize| format!("add `{number}`");
            let finding = |message: String| Finding {
                severity: Severity::Warning,
                message,
            };
            (1..=count).map(message).map(finding).collect()
        };
        let said = |count| named(&findings(count)).collect::<Vec<_>>().join("; ");

        assert_eq!(said(0), "");
        assert_eq!(said(3), "warning: add `1`; warning: add `2`; warning: add `3`");
        assert!(
            said(5).ends_with("warning: add `3`; 2 more findings, which the log of the agent names"),
            "{}",
            said(5)
        );
    }

    /// How long it takes to say that the sessions of somebody could not be ended.
    async fn waits(server: &Server) -> Duration {
        let names: [CommonName; 1] = ["alice.x".parse().expect("a name")];
        let began = Instant::now();
        let cut = server.disconnect(&names, Parting::Halt).await.expect("asked");
        assert_eq!(cut, CutSessions::pending());
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_waited_for_only_where_it_has_just_started() {
        let dir = tempfile::tempdir().expect("a folder");
        let running = Phase::Running {
            pid: 7,
            since: Instant::now(),
        };
        let (status, process) = watch::channel(ProcessStatus::default());
        let (server, task) = unreachable_at(&dir, Some(process));
        let stop = CancellationToken::new();
        let look = async {
            assert!(waits(&server).await >= ATTACHES_WITHIN, "nobody has looked for it");
            status.send_modify(|status| status.phase = running);
            assert!(waits(&server).await >= ATTACHES_WITHIN, "it has just started");
            sleep(JUST_STARTED).await;
            assert_eq!(waits(&server).await, Duration::ZERO, "it hangs");
            status.send_modify(|status| status.phase = Phase::Stopping);
            assert_eq!(waits(&server).await, Duration::ZERO, "it ends");
            stop.cancel();
        };
        tokio::join!(task.run(stop.clone()), look);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operators_server_that_is_away_is_waited_for_until_the_first_try_to_connect() {
        let dir = tempfile::tempdir().expect("a folder");
        let (server, task) = unreachable_at(&dir, None);
        assert!(server.has_just_started());
        let stop = CancellationToken::new();
        let look = async {
            sleep(ATTACHES_WITHIN).await;
            assert!(!server.has_just_started());
            assert_eq!(waits(&server).await, Duration::ZERO);
            stop.cancel();
        };
        tokio::join!(task.run(stop.clone()), look);
    }
}
