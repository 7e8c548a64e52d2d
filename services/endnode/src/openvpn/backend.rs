//! The VPN backend beside a real OpenVPN.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use vpnmanager_nats::ids::CommonName;

use super::{
    account::Account,
    lint::{Finding, lint},
    management::{Link, ManagementError, ManagementHandle, ManagementTask, Overview, management},
    process::{Launch, Phase, ProcessStatus, ProcessTask},
    server_conf::ServerConf,
};
use crate::{
    allow_list::{AllowList, AllowListError},
    backend::{
        BackendError, BackendHealth, BackendState, CutSessions, Parting, Reconciled, Serving, Session, VpnBackend,
    },
};

/// After this long without an answer a process that runs counts as down.
const STARTS_WITHIN: Duration = Duration::from_secs(15);

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
}

/// What the agent knows of a server that the operator runs.
#[derive(Debug, Clone)]
pub struct ExternalOpenVpn {
    /// Its management socket.
    pub management_socket: PathBuf,
    /// Its configuration file, checked at start. None when the operator does not say where it is.
    pub conf_file: Option<PathBuf>,
}

/// OpenVPN as a backend. Clones share one server.
#[derive(Debug, Clone)]
pub struct OpenVpnBackend {
    allow_list: AllowList,
    management: ManagementHandle,
    serving: watch::Sender<Serving>,
    process: Option<watch::Receiver<ProcessStatus>>,
    capacity: u32,
    findings: Vec<Finding>,
}

/// What runs behind an [`OpenVpnBackend`].
#[derive(Debug)]
pub struct OpenVpnTask {
    management: ManagementTask,
    process: Option<ProcessTask>,
}

impl OpenVpnTask {
    /// Runs until cancelled. OpenVPN and its sessions stay as they are.
    pub async fn run(self, cancel: CancellationToken) {
        let management = self.management.run(cancel.clone());
        match self.process {
            Some(process) => _ = tokio::join!(management, process.run(cancel)),
            None => management.await,
        }
    }
}

impl OpenVpnBackend {
    /// A backend that starts OpenVPN itself, once [`VpnBackend::set_serving`] says so, and finds it again later.
    ///
    /// Fails when OpenVPN's account could not reach the allow-list.
    pub fn managed(allow_list: AllowList, managed: ManagedOpenVpn) -> Result<(Self, OpenVpnTask), AllowListError> {
        allow_list.check_reachable(&managed.account)?;
        let socket = managed.conf.management_socket.as_path().to_owned();
        let launch = Launch {
            binary: managed.binary,
            conf_file: managed.dir.join("server.conf"),
            conf: managed.conf.render(),
            pid_file: managed.dir.join("openvpn.pid"),
            log_file: managed.dir.join("openvpn.log"),
            run_dir: socket.parent().unwrap_or(Path::new("/")).to_owned(),
        };
        let (serving, watched) = watch::channel(Serving::Undecided);
        let (process_task, process) = ProcessTask::new(launch, watched);
        let (handle, management_task) = management(socket, allow_list.clone());
        let backend = Self {
            allow_list,
            management: handle,
            serving,
            process: Some(process),
            capacity: managed.conf.capacity(),
            findings: Vec::new(),
        };
        Ok((
            backend,
            OpenVpnTask {
                management: management_task,
                process: Some(process_task),
            },
        ))
    }

    /// A backend beside a server that the operator runs, whose configuration is checked and never changed.
    pub fn external(allow_list: AllowList, external: ExternalOpenVpn) -> (Self, OpenVpnTask) {
        let findings = external.conf_file.map_or_else(Vec::new, |conf_file| {
            lint(&conf_file, allow_list.dir(), &external.management_socket)
        });
        for finding in &findings {
            warn!(finding = %finding, "The OpenVPN configuration needs a change");
        }
        let (serving, _) = watch::channel(Serving::Undecided);
        let (handle, task) = management(external.management_socket, allow_list.clone());
        let backend = Self {
            allow_list,
            management: handle,
            serving,
            process: None,
            capacity: 0,
            findings,
        };
        (
            backend,
            OpenVpnTask {
                management: task,
                process: None,
            },
        )
    }

    /// What is wrong with the operator's own configuration.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The state of the management connection, now and as it changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.management.link()
    }

    /// Says once more why a running server may not be as it should.
    fn remarks(&self, process: Option<&ProcessStatus>) -> String {
        let outdated = process.is_some_and(|process| process.outdated_conf);
        let outdated =
            outdated.then(|| "runs with an older server.conf; the next start applies the new one".to_owned());
        outdated
            .into_iter()
            .chain(self.findings.iter().map(ToString::to_string))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

impl VpnBackend for OpenVpnBackend {
    async fn allow(&self, names: &[CommonName]) -> Result<(), BackendError> {
        Ok(self.allow_list.allow_all(names)?)
    }

    async fn deny(&self, names: &[CommonName]) -> Result<CutSessions, BackendError> {
        let refused = self.allow_list.deny_all(names);
        // Whoever could not be refused loses his session all the same.
        let cut = self.disconnect(names, Parting::Halt).await;
        refused?;
        cut
    }

    async fn disconnect(&self, names: &[CommonName], parting: Parting) -> Result<CutSessions, BackendError> {
        settle(self.management.cut(names.to_vec(), parting).await)
    }

    async fn reconcile(&self, wanted: &BTreeSet<CommonName>) -> Result<Reconciled, BackendError> {
        Ok(self.allow_list.reconcile(wanted)?)
    }

    async fn enforce(&self) -> Result<CutSessions, BackendError> {
        settle(self.management.enforce().await)
    }

    async fn allowed(&self) -> Result<BTreeSet<CommonName>, BackendError> {
        Ok(self.allow_list.list()?.names)
    }

    async fn sessions(&self) -> Result<Vec<Session>, BackendError> {
        Ok(self.management.sessions().await?)
    }

    fn logins(&self) -> watch::Receiver<u64> {
        self.management.logins()
    }

    async fn health(&self) -> BackendHealth {
        let process = self.process.as_ref().map(|process| process.borrow().clone());
        let asked = self.management.overview().await;
        let link = self.management.link().borrow().clone();
        let health = judge(process.as_ref(), asked, &link);
        let remarks = self.remarks(process.as_ref());
        let detail = if health.detail.is_empty() {
            remarks
        } else {
            health.detail
        };
        let restarts = process.map_or(0, |process| process.restarts);
        BackendHealth {
            capacity: self.capacity,
            restarts,
            detail,
            ..health
        }
    }

    async fn set_serving(&self, serving: Serving) {
        self.serving.send_replace(serving);
    }
}

/// A server that cannot be asked has no reachable session to end: what it still holds is ended on the next connection.
fn settle(outcome: Result<CutSessions, ManagementError>) -> Result<CutSessions, BackendError> {
    match outcome {
        Err(ManagementError::Away) => Ok(CutSessions {
            count: 0,
            pending: true,
        }),
        Ok(_) | Err(_) => Ok(outcome?),
    }
}

/// The process says what should be, the management socket what is.
fn judge(process: Option<&ProcessStatus>, asked: Result<Overview, ManagementError>, link: &Link) -> BackendHealth {
    let away = match link {
        Link::Away(reason) => reason.clone(),
        Link::Up { .. } => "does not answer on its management socket".to_owned(),
    };
    let Some(process) = process else {
        return match asked {
            Ok(overview) => seen(overview),
            Err(_) => BackendHealth::bare(BackendState::Down, away),
        };
    };
    match process.phase {
        Phase::Stopped => BackendHealth::bare(BackendState::Stopped, "this node does not serve"),
        Phase::Stopping => BackendHealth::bare(BackendState::Stopped, "stopping: this node must not serve"),
        Phase::Starting => BackendHealth::bare(BackendState::Starting, "starting"),
        Phase::Failed => BackendHealth::bare(BackendState::Down, process.last_failure.clone()),
        Phase::Running { pid, since } => match asked {
            Ok(overview) if overview.pid == pid => seen(overview),
            Ok(overview) => BackendHealth::bare(
                BackendState::Down,
                format!(
                    "the management socket belongs to process {}, not to {pid}",
                    overview.pid
                ),
            ),
            Err(_) if since.elapsed() < STARTS_WITHIN => BackendHealth {
                pid: Some(pid),
                ..BackendHealth::bare(BackendState::Starting, away)
            },
            Err(_) => BackendHealth {
                pid: Some(pid),
                ..BackendHealth::bare(BackendState::Down, away)
            },
        },
    }
}

fn seen(overview: Overview) -> BackendHealth {
    let (state, detail) = if overview.serving {
        (BackendState::Up, "")
    } else {
        (BackendState::Starting, "does not accept clients yet")
    };
    BackendHealth {
        pid: Some(overview.pid),
        version: overview.version,
        since: Some(overview.since),
        sessions: overview.sessions,
        bytes_in: overview.bytes_in,
        bytes_out: overview.bytes_out,
        ..BackendHealth::bare(state, detail)
    }
}
