//! The VPN backend beside real OpenVPNs: one for each listener of the node, and one allow-list for all.

use std::{
    collections::BTreeSet,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::join_all;
use tokio::sync::watch;
use tracing::warn;
use vpnmanager_nats::{ids::CommonName, listeners::Listener, network::PoolNetwork};

use super::{
    control_socket::{ControlTask, Controlled},
    joint_health::joint_health,
    lint::{Expected, Finding, LintedConf},
    managed::ManagedOpenVpn,
    managed_tunnel::ManagedTunnel,
    managed_tunnels::ManagedTunnels,
    process::{GoingBy, LogKeeper, ProcessTask, Wanted},
    restart::{RestartTask, Restartable, Restarts},
    server::{LastTold, Managed, Server},
    session_numbers::{key_among_all, key_of_one, numbers_of, session_among_all},
    task::OpenVpnTask,
};
use crate::{
    account::Account,
    allow_list::{AllowList, AllowListError, Reconciled},
    backend::{
        BackendError, BackendHealth, BackendState, CutSessions, Look, Parting, Serving, Session, SessionKey, VpnBackend,
    },
};

/// What the agent knows of a server that the operator runs.
#[derive(Debug, Clone)]
pub struct ExternalOpenVpn {
    /// What clients dial.
    pub listener: Listener,
    /// What its configuration should say.
    pub expected: Expected,
    /// Its configuration file, checked as it changes; `None` when the operator does not say where it is.
    pub conf_file: Option<PathBuf>,
    /// What management tells of the network of the pool. The configuration is compared with it, and nothing of it is applied.
    pub told: watch::Receiver<Option<PoolNetwork>>,
}

/// The OpenVPNs of a node as a backend. Clones share them.
///
/// All are asked at once: one that does not answer keeps nobody from being cut on the others.
#[derive(Debug, Clone)]
pub struct OpenVpnBackend {
    allow_list: AllowList,
    /// In the order of the listeners; at least one.
    servers: Arc<[Server]>,
    serving: watch::Sender<Serving>,
    /// Counts the logins of all.
    logins: watch::Sender<u64>,
    /// Of managed servers: who must be able to read the allow-list. The check of an operator's configuration knows its own.
    account: Option<Account>,
    /// Of managed servers: restarts them.
    restarts: Option<Restarts>,
}

impl OpenVpnBackend {
    /// A backend that starts OpenVPN itself, once [`VpnBackend::set_serving`] says so, and finds it again later.
    ///
    /// An error when OpenVPN's account could not read the allow-list: everybody would be refused.
    pub fn managed(allow_list: AllowList, managed: ManagedOpenVpn) -> Result<(Self, OpenVpnTask), AllowListError> {
        allow_list.check_reachable(&managed.account)?;
        let mut assembly = Assembly::new(allow_list);
        let mut processes = Vec::new();
        for (listener, (launch, server)) in managed.launches().zip(&managed.servers).enumerate() {
            let log = LogKeeper::new(launch.log_file.clone());
            let by = GoingBy {
                allow_list: assembly.allow_list.clone(),
                definitions: managed.definitions.clone(),
                listener,
            };
            let (told, restarts) = watch::channel(0);
            let wanted = Wanted {
                serving: assembly.serving.subscribe(),
                restarts,
            };
            let (task, process) = ProcessTask::new(launch, by, wanted);
            assembly.restartable.push(Restartable {
                listener: server.listener,
                told,
                process: process.clone(),
            });
            processes.push((task, log));
            let of_agent = Managed {
                tunnel: ManagedTunnel::new(server.conf.tunnel(), process.clone()),
                process,
                capacity: server.conf.capacity(),
                listeners: managed.servers.len(),
            };
            let socket = server.conf.control_socket.as_path().to_owned();
            assembly.ask(server.listener, socket, (Some(of_agent), None));
        }
        Ok(assembly.with(Some(managed.account), processes))
    }

    /// A backend beside a server that the operator runs, whose configuration is checked and never changed.
    pub fn external(allow_list: AllowList, external: ExternalOpenVpn) -> (Self, OpenVpnTask) {
        let ExternalOpenVpn {
            listener,
            expected,
            conf_file,
            told,
        } = external;
        make_folder_of(&expected.control_socket);
        let socket = expected.control_socket.clone();
        let conf = conf_file.map(|file| LintedConf::new(file, expected, told));
        let mut assembly = Assembly::new(allow_list);
        assembly.ask(listener, socket, (None, conf));
        assembly.with(None, Vec::new())
    }

    /// The tunnels of servers that the agent runs, in the order of the listeners.
    pub fn tunnels(&self) -> Option<ManagedTunnels> {
        let managed = self.servers.iter().filter_map(|server| server.managed.as_ref());
        let tunnels: Vec<ManagedTunnel> = managed.map(|managed| managed.tunnel.clone()).collect();
        (!tunnels.is_empty()).then(|| ManagedTunnels::new(tunnels))
    }

    /// What is wrong with the operator's own configuration.
    pub fn findings(&self) -> Vec<Finding> {
        self.servers.iter().flat_map(Server::findings).collect()
    }

    /// What restarts the servers, unless they are not the agent's, or would not be started again.
    fn restartable(&self) -> Result<&Restarts, BackendError> {
        let restarts = self.restarts.as_ref().ok_or(BackendError::NotOurs)?;
        let serving = *self.serving.borrow();
        match serving {
            Serving::Yes => Ok(restarts),
            Serving::Undecided | Serving::No => Err(BackendError::NotServing),
        }
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
}

/// A backend while its servers are put together.
struct Assembly {
    allow_list: AllowList,
    serving: watch::Sender<Serving>,
    logins: watch::Sender<u64>,
    servers: Vec<Server>,
    controls: Vec<ControlTask>,
    restartable: Vec<Restartable>,
}

impl Assembly {
    fn new(allow_list: AllowList) -> Self {
        Self {
            allow_list,
            serving: watch::Sender::new(Serving::Undecided),
            logins: watch::Sender::default(),
            servers: Vec::new(),
            controls: Vec::new(),
            restartable: Vec::new(),
        }
    }

    /// Adds a server that is asked on this socket: a managed one, or one whose configuration is checked.
    fn ask(&mut self, listener: Listener, socket: PathBuf, (managed, conf): (Option<Managed>, Option<LintedConf>)) {
        let (task, control) = ControlTask::new(Controlled {
            socket,
            allow_list: self.allow_list.clone(),
            listener: self.servers.len(),
            serving: self.serving.subscribe(),
            logins: self.logins.clone(),
        });
        self.controls.push(task);
        self.servers.push(Server {
            listener,
            control,
            managed,
            conf,
            last_told: None,
        });
    }

    fn with(
        mut self,
        account: Option<Account>,
        processes: Vec<(ProcessTask, LogKeeper)>,
    ) -> (OpenVpnBackend, OpenVpnTask) {
        if self.servers.len() > 1 {
            for server in &mut self.servers {
                server.last_told = Some(LastTold::default());
            }
        }
        let restarts = Restarts::default();
        let backend = OpenVpnBackend {
            restarts: account.is_some().then(|| restarts.clone()),
            allow_list: self.allow_list,
            servers: self.servers.into(),
            serving: self.serving,
            logins: self.logins,
            account,
        };
        let task = OpenVpnTask {
            controls: self.controls,
            processes,
            restarts: RestartTask::new(restarts, self.restartable),
        };
        (backend, task)
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
        let asked: Vec<_> = self
            .servers
            .iter()
            .map(|server| server.disconnect(names, parting))
            .collect();
        cut_on_all(join_all(asked).await)
    }

    async fn end(&self, session: SessionKey) -> Result<Option<String>, BackendError> {
        let (number, session) = key_of_one(session);
        match self.servers.get(number) {
            Some(server) => server.end(session).await,
            // Of a listener that the node had.
            None => Ok(None),
        }
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
        let asked: Vec<_> = self.servers.iter().map(Server::enforce).collect();
        cut_on_all(join_all(asked).await)
    }

    async fn look(&self) -> Result<Look, BackendError> {
        let asked: Vec<_> = self.servers.iter().map(Server::sessions).collect();
        let told = join_all(asked).await;
        joint_look(told, |number| {
            self.servers.get(number).map(Server::last_told).unwrap_or_default()
        })
    }

    fn logins(&self) -> watch::Receiver<u64> {
        self.logins.subscribe()
    }

    async fn health(&self) -> BackendHealth {
        let asked: Vec<_> = self.servers.iter().map(Server::health).collect();
        let told = join_all(asked).await;
        let listeners = self.servers.iter().map(|server| server.listener);
        let health = joint_health(listeners.zip(told).collect());
        let health = match self.restarts.as_ref().is_some_and(Restarts::is_going_on) {
            true => restarting(health),
            false => health,
        };
        BackendHealth {
            fault: self.closed_folder().or(health.fault),
            ..health
        }
    }

    async fn set_serving(&self, serving: Serving) {
        self.serving.send_replace(serving);
    }

    fn would_restart(&self) -> Result<(), BackendError> {
        self.restartable().map(|_restarts| ())
    }

    async fn restart(&self) -> Result<(), BackendError> {
        self.restartable().map(Restarts::ask)
    }
}

/// The health of a server while a restart goes on: it is not up before all listeners are back. One that is down says why.
fn restarting(health: BackendHealth) -> BackendHealth {
    match health.state {
        BackendState::Down => health,
        BackendState::Up | BackendState::Starting | BackendState::Stopped | BackendState::Absent => BackendHealth {
            state: BackendState::Starting,
            detail: "OpenVPN restarts, as management asked".to_owned(),
            ..health
        },
    }
}

/// What all servers told of their sessions, as these are named among all. Those of one that could not be asked are the ones that it told of
/// `before`: nobody knows better, and who is on the others is moved, counted and shown all the same. The first failure where none could be asked.
fn joint_look(
    told: Vec<Result<Vec<Session>, BackendError>>,
    before: impl Fn(usize) -> Vec<Session>,
) -> Result<Look, BackendError> {
    let servers = told.len();
    let (mut look, mut first_failure) = (Look::default(), None);
    for (number, told) in told.into_iter().enumerate() {
        let sessions = match told {
            Ok(sessions) => sessions,
            Err(failure) => {
                look.unasked.push(numbers_of(number));
                _ = first_failure.get_or_insert(failure);
                before(number)
            }
        };
        let sessions = sessions.into_iter();
        look.sessions
            .extend(sessions.map(|session| session_among_all(number, session)));
    }
    match first_failure {
        Some(failure) if look.unasked.len() == servers => Err(failure),
        Some(_) | None => Ok(look),
    }
}

/// What was cut on all servers, with its sessions as they are named among all. The first failure, if there is one: all had their turn.
fn cut_on_all(outcomes: Vec<Result<CutSessions, BackendError>>) -> Result<CutSessions, BackendError> {
    let mut all = CutSessions::default();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let cut = outcome?;
        let moved = cut.moved.iter().map(|key| key_among_all(number, *key)).collect();
        all = all.and(CutSessions { moved, ..cut });
    }
    Ok(all)
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::backend::Rest;

    #[test]
    fn what_is_left_on_one_server_is_left_and_the_sessions_of_each_are_named_apart() {
        let key = |cid| SessionKey {
            since: DateTime::UNIX_EPOCH,
            cid,
        };
        let cut = |rest| {
            Ok(CutSessions {
                count: 2,
                moved: BTreeSet::from([key(7)]),
                rest,
            })
        };
        let all = cut_on_all(vec![cut(Rest::Nothing), cut(Rest::Pending)]).expect("cut");
        assert_eq!(
            all,
            CutSessions {
                count: 4,
                moved: BTreeSet::from([key(7), key((1 << 40) + 7)]),
                rest: Rest::Pending,
            }
        );
        let failure = Err(BackendError::NoServer);
        assert!(cut_on_all(vec![cut(Rest::Nothing), failure]).is_err());
    }

    #[test]
    fn of_a_server_that_cannot_be_asked_is_known_what_it_told_before_and_of_none_nothing() {
        const SECOND: u64 = 1 << 40;
        let session = |cid, common_name: &str| Session {
            cid,
            common_name: common_name.to_owned(),
            ..Session::default()
        };
        let failure = || Err(BackendError::NoServer);
        let before = |number: usize| match number {
            1 => vec![session(0, "bob.x"), session(4, "carol.x")],
            _ => panic!("it could be asked"),
        };

        let look = joint_look(vec![Ok(vec![session(7, "alice.x")]), failure()], before).expect("one was asked");

        let is_unasked = [7, SECOND - 1, SECOND, SECOND + 4].map(|cid| look.is_unasked(session(cid, "").key()));
        assert_eq!(is_unasked, [false, false, true, true]);
        let (alice, bob, carol) = (
            session(7, "alice.x"),
            session(SECOND, "bob.x"),
            session(SECOND + 4, "carol.x"),
        );
        assert_eq!(look.sessions, [alice.clone(), bob, carol]);
        assert_eq!(look.told(), [alice]);
        assert!(joint_look(vec![failure(), failure()], |_| Vec::new()).is_err());
        let asked = joint_look(vec![Ok(Vec::new()), Ok(Vec::new())], before).expect("both were asked");
        assert_eq!(asked, Look::default());
    }
    #[test]
    fn who_was_connected_is_kept_only_where_there_are_several_servers() {
        let dir = tempfile::tempdir().expect("a folder");
        let is_kept = |listeners: &[&str]| {
            let mut assembly = Assembly::new(AllowList::open(dir.path().join("allow")).expect("a list"));
            for listener in listeners {
                let listener = listener.parse().expect("a listener");
                assembly.ask(listener, dir.path().join("no.sock"), (None, None));
            }
            let (backend, _task) = assembly.with(None, Vec::new());
            let servers = backend.servers.iter();
            servers.map(|server| server.last_told.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(is_kept(&["udp:1194"]), [false]);
        assert_eq!(is_kept(&["udp:1194", "tcp:443"]), [true, true]);
    }
}
