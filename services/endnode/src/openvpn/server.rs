//! One OpenVPN of a node: its management socket, and its process where the agent runs it.

use std::time::Duration;

use tokio::sync::watch;
use vpnmanager_nats::{ids::CommonName, listeners::Listener};

use super::{
    control_socket::{ControlError, ControlHandle, Overview},
    dynamic_half::{is_nearly_all, scarcity},
    handshakes::{Siege, Unfinished},
    health::health_of,
    joint_health::ServerHealth,
    lint::{Finding, LintedConf, Running, Severity},
    managed_tunnel::ManagedTunnel,
    process::{Phase, ProcessStatus},
    room::Room,
};
use crate::{
    backend::{BackendError, BackendHealth, BackendState, CutSessions, Parting, Session, SessionKey},
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
    /// Who runs it.
    pub(super) run_by: RunBy,
    /// Whether handshakes leave no place to clients.
    pub(super) siege: Siege,
}

/// Who runs a server.
#[derive(Debug, Clone)]
pub(super) enum RunBy {
    /// The agent.
    Agent(Managed),
    /// The operator: with the check of its configuration, if its file is known.
    Operator(Option<LintedConf>),
}

/// What the agent knows of a server that it runs.
#[derive(Debug, Clone)]
pub(super) struct Managed {
    pub(super) process: watch::Receiver<ProcessStatus>,
    /// `None` where nothing goes by it.
    pub(super) tunnel: Option<ManagedTunnel>,
    /// The room for clients by the configuration that is wanted.
    pub(super) room: Room,
    /// How many listeners the node has, which its addresses are divided among.
    pub(super) listeners: usize,
}

impl Server {
    /// What the agent knows of one that it runs.
    pub(super) fn managed(&self) -> Option<&Managed> {
        match &self.run_by {
            RunBy::Agent(managed) => Some(managed),
            RunBy::Operator(_) => None,
        }
    }

    /// What is wrong with the operator's own configuration.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.conf().map(LintedConf::findings).unwrap_or_default()
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

    /// Who is connected.
    pub(super) async fn sessions(&self) -> Result<Vec<Session>, BackendError> {
        let mut sessions = match self.control.sessions().await {
            Err(ControlError::Away) if self.has_no_sessions() => Vec::new(),
            asked => asked.map_err(failed)?,
        };
        for session in &mut sessions {
            session.listener = Some(self.listener);
        }
        Ok(sessions)
    }

    /// How it is.
    pub(super) async fn health(&self) -> ServerHealth {
        let process = self.managed().map(|managed| managed.process.borrow().clone());
        let overview = self.control.overview().await.ok();
        let link = self.control.link().borrow().clone();
        let health = health_of(process.as_ref(), overview.as_ref(), &link);
        if let Some(overview) = &overview {
            self.note(overview);
        }
        let findings = self.findings();
        let scarcity = self.scarcity(overview.as_ref()).await;
        let wanted = self.managed().map(|managed| managed.room);
        let room = process.as_ref().and_then(ProcessStatus::running_room).or(wanted);
        let is_outdated = self.is_outdated(process.as_ref(), overview.as_ref());
        let places = self.places(room, is_outdated);
        let serving = overview.as_ref().filter(|_| health.state == BackendState::Up);
        let seen = serving.and_then(|overview| overview.snapshot.as_ref()).zip(places);
        let (siege, crowding) = apart(self.siege.look(seen));
        let outdated =
            is_outdated.then(|| "runs with an older server.conf; the next start applies the new one".to_owned());
        let remarks = remarks([outdated, crowding, scarcity], &findings);
        let detail = if health.detail.is_empty() {
            remarks
        } else {
            health.detail
        };
        let restarts = process.as_ref().map_or(0, |process| process.restarts);
        let is_failing = process.as_ref().is_some_and(|process| process.is_failing);
        let health = BackendHealth {
            capacity: room.map_or(0, |room| room.capacity),
            restarts,
            is_failing,
            detail,
            fault: fault(&findings),
            ..health
        };
        ServerHealth {
            listener: self.listener,
            health,
            siege,
        }
    }

    /// The check of the operator's configuration needs to know which OpenVPN runs with it.
    fn note(&self, overview: &Overview) {
        if let Some(conf) = self.conf() {
            conf.note(Running::of(overview.pid, overview.version.as_deref()));
        }
    }

    /// That clients have nearly all addresses that OpenVPN gives out as they come, where that is so. They are listed only where that may be.
    async fn scarcity(&self, overview: Option<&Overview>) -> Option<String> {
        let managed = self.managed()?;
        let tunnel = managed.tunnel.as_ref()?.running().filter(|tunnel| tunnel.is_split)?;
        let layout = Layout::new(tunnel.network, tunnel.network6);
        if !is_nearly_all(overview?.sessions, layout) {
            return None;
        }
        let sessions = self.control.sessions().await.ok()?;
        scarcity(&sessions, layout, managed.listeners)
    }

    /// Whether it runs with an older configuration.
    fn is_outdated(&self, process: Option<&ProcessStatus>, overview: Option<&Overview>) -> bool {
        let changed = |conf: &LintedConf| overview.is_some_and(|seen| conf.changed_since(seen.since.into()));
        process.is_some_and(|process| process.outdated_conf) || self.conf().is_some_and(changed)
    }

    /// Its places, as far as they are known: a file of the operator that changed does not say those of the OpenVPN that runs.
    fn places(&self, room: Option<Room>, is_outdated: bool) -> Option<u32> {
        match room {
            Some(room) => Some(room.places),
            None => self.conf().filter(|_| !is_outdated)?.places(),
        }
    }

    /// Whether no OpenVPN runs here. Of an operator's own one that cannot be asked nothing is known.
    fn has_no_sessions(&self) -> bool {
        self.managed().is_some_and(|managed| {
            let status = managed.process.borrow();
            let runs = !matches!(status.phase, Phase::Stopped | Phase::Starting | Phase::Failed);
            status.looked && !status.other_runs && !runs
        })
    }

    /// Whether the agent, or the OpenVPN that it runs, started a moment ago.
    fn has_just_started(&self) -> bool {
        let Some(managed) = self.managed() else {
            return self.control.is_untried();
        };
        let (phase, other_runs) = {
            let status = managed.process.borrow();
            (status.phase, status.other_runs)
        };
        match phase {
            Phase::Running { since, .. } => self.control.is_untried() || since.elapsed() < JUST_STARTED,
            Phase::Stopped | Phase::Starting | Phase::Failed if other_runs => self.control.is_untried(),
            // It has no sessions, unless it was not looked for yet.
            Phase::Stopped | Phase::Starting | Phase::Failed => !self.has_no_sessions(),
            Phase::Stopping => false,
        }
    }

    /// The check of the operator's configuration, if there is one.
    fn conf(&self) -> Option<&LintedConf> {
        match &self.run_by {
            RunBy::Agent(_) => None,
            RunBy::Operator(conf) => conf.as_ref(),
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

/// What degrades the node, and what is worth knowing: a node without a place should get no users, one that has some may.
fn apart(unfinished: Option<Unfinished>) -> (Option<String>, Option<String>) {
    match unfinished {
        Some(Unfinished::Siege(text)) => (Some(text), None),
        Some(Unfinished::Crowding(text)) => (None, Some(text)),
        None => (None, None),
    }
}

/// What is worth knowing about a running server: an outdated configuration, that places or addresses are scarce, and the findings.
fn remarks(known: [Option<String>; 3], findings: &[Finding]) -> String {
    let known = known.into_iter().flatten();
    known.chain(named(findings)).collect::<Vec<_>>().join("; ")
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
mod tests;
