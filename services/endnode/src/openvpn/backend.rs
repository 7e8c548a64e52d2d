//! The VPN backend beside a real OpenVPN.

use std::{
    collections::BTreeSet,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use vpnmanager_nats::ids::CommonName;

use super::{
    control_socket::{ControlError, ControlHandle, ControlTask, Link, Overview},
    dynamic_half::{is_nearly_all, scarcity},
    health::health_of,
    lint::{Expected, Finding, LintedConf, Running, Severity},
    managed_tunnel::ManagedTunnel,
    process::{Launch, LogKeeper, Phase, ProcessStatus, ProcessTask},
    server_conf::ServerConf,
};
use crate::{
    account::Account,
    allow_list::{AllowList, AllowListError, Reconciled},
    backend::{BackendError, BackendHealth, CutSessions, Parting, Serving, Session, SessionKey, VpnBackend},
    groups::{Definitions, Layout},
};

/// What a managed OpenVPN needs.
#[derive(Debug, Clone)]
pub struct ManagedOpenVpn {
    /// The program.
    pub binary: PathBuf,
    /// The folder of `server.conf`, the log and the process id; 0700.
    pub dir: PathBuf,
    /// What `server.conf` says.
    pub conf: ServerConf,
    /// The account of [`ServerConf::user`].
    pub account: Account,
    /// What management tells of groups, and whether the firewall holds users of `default` to it: before that OpenVPN is not started.
    pub definitions: Definitions,
}

/// What the agent knows of a server that the operator runs.
#[derive(Debug, Clone)]
pub struct ExternalOpenVpn {
    /// What its configuration should say.
    pub expected: Expected,
    /// Its configuration file, checked as it changes; `None` when the operator does not say where it is.
    pub conf_file: Option<PathBuf>,
}

/// OpenVPN as a backend. Clones share one server.
#[derive(Debug, Clone)]
pub struct OpenVpnBackend {
    allow_list: AllowList,
    control: ControlHandle,
    serving: watch::Sender<Serving>,
    process: Option<watch::Receiver<ProcessStatus>>,
    /// Of a managed server.
    tunnel: Option<ManagedTunnel>,
    /// Of a managed server: who must be able to read the allow-list. The check of an operator's configuration knows its own.
    account: Option<Account>,
    capacity: u32,
    conf: Option<LintedConf>,
}

/// What runs behind an [`OpenVpnBackend`].
#[derive(Debug)]
pub struct OpenVpnTask {
    control: ControlTask,
    process: Option<(ProcessTask, LogKeeper)>,
}

impl OpenVpnTask {
    /// Runs until cancelled. OpenVPN and its sessions stay as they are.
    pub async fn run(self, cancel: CancellationToken) {
        self.run_after(std::future::ready(()), cancel).await;
    }

    /// The same, but OpenVPN is asked for its sessions only after `is_right`: by then the allow-list is as it should be, and whoever is not on it
    /// is cut. Its process is looked after at once.
    pub async fn run_after(self, is_right: impl Future<Output = ()>, cancel: CancellationToken) {
        let Self { control, process } = self;
        let control = async {
            if cancel.run_until_cancelled(is_right).await.is_some() {
                control.run(cancel.clone()).await;
            }
        };
        match process {
            Some((process, log)) => _ = tokio::join!(control, process.run(cancel.clone()), log.run(cancel.clone())),
            None => control.await,
        }
    }
}

impl OpenVpnBackend {
    /// A backend that starts OpenVPN itself, once [`VpnBackend::set_serving`] says so, and finds it again later.
    ///
    /// An error when OpenVPN's account could not read the allow-list: everybody would be refused.
    pub fn managed(allow_list: AllowList, managed: ManagedOpenVpn) -> Result<(Self, OpenVpnTask), AllowListError> {
        allow_list.check_reachable(&managed.account)?;
        let socket = managed.conf.control_socket.as_path().to_owned();
        let launch = Launch {
            binary: managed.binary,
            conf_file: managed.dir.join("server.conf"),
            conf: managed.conf.render(),
            pid_file: managed.dir.join("openvpn.pid"),
            record_file: managed.dir.join("openvpn.process"),
            uid: managed.account.uid(),
            log_file: managed.dir.join("openvpn.log"),
            run_dir: socket.parent().unwrap_or(Path::new("/")).to_owned(),
        };
        let (serving, watched) = watch::channel(Serving::Undecided);
        let log = LogKeeper::new(launch.log_file.clone());
        let (process_task, process) =
            ProcessTask::new(launch, (allow_list.clone(), managed.definitions), watched.clone());
        let (control_task, control) = ControlTask::new(socket, allow_list.clone(), watched);
        let backend = Self {
            allow_list,
            control,
            serving,
            tunnel: Some(ManagedTunnel::new(managed.conf.tunnel(), process.clone())),
            process: Some(process),
            account: Some(managed.account),
            capacity: managed.conf.capacity(),
            conf: None,
        };
        Ok((
            backend,
            OpenVpnTask {
                control: control_task,
                process: Some((process_task, log)),
            },
        ))
    }

    /// A backend beside a server that the operator runs, whose configuration is checked and never changed.
    pub fn external(allow_list: AllowList, external: ExternalOpenVpn) -> (Self, OpenVpnTask) {
        let ExternalOpenVpn { expected, conf_file } = external;
        make_folder_of(&expected.control_socket);
        let control_socket = expected.control_socket.clone();
        let conf = conf_file.map(|file| LintedConf::new(file, expected));
        let (serving, watched) = watch::channel(Serving::Undecided);
        let (task, control) = ControlTask::new(control_socket, allow_list.clone(), watched);
        let backend = Self {
            allow_list,
            control,
            serving,
            process: None,
            tunnel: None,
            account: None,
            capacity: 0,
            conf,
        };
        (
            backend,
            OpenVpnTask {
                control: task,
                process: None,
            },
        )
    }

    /// The tunnel of a server that the agent runs.
    pub fn tunnel(&self) -> Option<ManagedTunnel> {
        self.tunnel.clone()
    }

    /// What is wrong with the operator's own configuration.
    pub fn findings(&self) -> Vec<Finding> {
        self.conf.as_ref().map(LintedConf::findings).unwrap_or_default()
    }

    /// The check of the operator's configuration needs to know which OpenVPN runs with it.
    fn note(&self, overview: &Overview) {
        if let Some(conf) = &self.conf {
            conf.note(Running::of(overview.pid, overview.version.as_deref()));
        }
    }

    /// The state of the management connection, now and as it changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.control.link()
    }

    /// That clients have nearly all addresses that OpenVPN gives out as they come, where that is so. They are listed only where that may be.
    async fn scarcity(&self, overview: Option<&Overview>) -> Option<String> {
        let tunnel = self.tunnel.as_ref()?.running().filter(|tunnel| tunnel.is_split)?;
        let layout = Layout::new(tunnel.network, tunnel.network6);
        if !is_nearly_all(overview?.sessions, layout) {
            return None;
        }
        let sessions = self.control.sessions().await.ok()?;
        scarcity(&sessions, layout)
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
            .chain(findings.iter().map(ToString::to_string))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// How long a server that runs may take to take the agent's connection: it is asked every half second at least.
const ATTACHES_WITHIN: Duration = Duration::from_secs(1);

impl OpenVpnBackend {
    /// Whether no OpenVPN of ours runs. Of an operator's own one that cannot be asked nothing is known.
    fn has_no_sessions(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let status = process.borrow();
            status.looked && matches!(status.phase, Phase::Stopped | Phase::Starting | Phase::Failed)
        })
    }

    /// Why everybody is refused, when a folder above the allow-list was closed while OpenVPN runs. A few looks at folders: cheap
    /// enough for each heartbeat.
    fn closed_folder(&self) -> Option<String> {
        match self.allow_list.check_reachable(self.account.as_ref()?) {
            Err(closed @ AllowListError::Unreachable { .. }) => Some(closed.to_string()),
            // A lost folder is made again by the next repair.
            Ok(()) | Err(_) => None,
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

impl VpnBackend for OpenVpnBackend {
    async fn allow(&self, names: &[CommonName]) -> Result<Vec<CommonName>, BackendError> {
        Ok(self.allow_list.allow_all(names)?)
    }

    async fn deny(&self, names: &[CommonName]) -> Result<(), BackendError> {
        Ok(self.allow_list.deny_all(names)?)
    }

    async fn hold_back_unheld(&self) -> Result<(), BackendError> {
        Ok(self.allow_list.hold_back_unheld()?)
    }

    async fn disconnect(&self, names: &[CommonName], parting: Parting) -> Result<CutSessions, BackendError> {
        if names.is_empty() {
            return Ok(CutSessions::default());
        }
        let cut = async || self.control.cut(names.to_vec(), parting).await;
        match cut().await {
            // The agent or OpenVPN has just started: a moment later it can be asked.
            Err(ControlError::Away) if !self.has_no_sessions() && self.control.attached(ATTACHES_WITHIN).await => {
                self.cut_or_pending(cut().await)
            }
            outcome => self.cut_or_pending(outcome),
        }
    }

    async fn end(&self, session: SessionKey) -> Result<Option<String>, BackendError> {
        self.control.end(session).await.map_err(failed)
    }

    async fn compare(&self, wanted: BTreeSet<CommonName>) -> Result<BTreeSet<CommonName>, BackendError> {
        Ok(self.allow_list.compare_beside(wanted).await?)
    }

    async fn mend(
        &self,
        names: &BTreeSet<CommonName>,
        wanted: &BTreeSet<CommonName>,
    ) -> Result<Reconciled, BackendError> {
        Ok(self.allow_list.mend(names, wanted)?)
    }

    async fn enforce(&self) -> Result<CutSessions, BackendError> {
        self.cut_or_pending(self.control.enforce().await)
    }

    async fn sessions(&self) -> Result<Vec<Session>, BackendError> {
        match self.control.sessions().await {
            Err(ControlError::Away) if self.has_no_sessions() => Ok(Vec::new()),
            asked => asked.map_err(failed),
        }
    }

    fn logins(&self) -> watch::Receiver<u64> {
        self.control.logins()
    }

    async fn health(&self) -> BackendHealth {
        let process = self.process.as_ref().map(|process| process.borrow().clone());
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
        let outdated = process.as_ref().and_then(ProcessStatus::running_capacity);
        BackendHealth {
            capacity: outdated.unwrap_or(self.capacity),
            restarts,
            detail,
            fault: self.closed_folder().or_else(|| fault(&findings)),
            ..health
        }
    }

    async fn set_serving(&self, serving: Serving) {
        self.serving.send_replace(serving);
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

/// After a boot `/run` is empty. OpenVPN does not start without the folder of its socket.
fn make_folder_of(socket: &Path) {
    let Some(folder) = socket.parent().filter(|folder| !folder.exists()) else {
        return;
    };
    let made = DirBuilder::new().recursive(true).mode(0o750).create(folder);
    if let Err(error) = made {
        warn!(error = %error, folder = %folder.display(), "The folder of OpenVPN's management socket could not be made");
    }
}

fn failed(error: ControlError) -> BackendError {
    BackendError::Server(error.into())
}
