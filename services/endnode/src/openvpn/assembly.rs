//! Putting the OpenVPNs of a node together to a backend.

use std::path::PathBuf;

use tokio::sync::watch;
use vpnmanager_nats::listeners::Listener;

use super::{
    backend::OpenVpnBackend,
    control_socket::{ControlTask, Controlled},
    external::{ExternalOpenVpn, make_folder_of},
    handshakes::Siege,
    joint_sessions::LastTold,
    lint::LintedConf,
    managed::{ManagedOpenVpn, ManagedServer},
    managed_tunnel::ManagedTunnel,
    process::{Launch, LogKeeper, ProcessTask, StartConditions, Wanted},
    restart::{RestartTask, Restartable, Restarts},
    server::{Managed, RunBy, Server},
    task::{ListenerTask, OpenVpnTask},
};
use crate::{
    account::Account,
    allow_list::{AllowList, AllowListError},
    backend::Serving,
    listening::ListenerNumber,
};

impl OpenVpnBackend {
    /// A backend that starts OpenVPN itself, once [`set_serving`](crate::backend::VpnBackend::set_serving) says so, and finds it again later.
    ///
    /// An error when OpenVPN's account could not read the allow-list: everybody would be refused.
    pub fn managed(allow_list: AllowList, managed: ManagedOpenVpn) -> Result<(Self, OpenVpnTask), AllowListError> {
        allow_list.check_reachable(&managed.account)?;
        let mut assembly = Assembly::new(allow_list);
        for (launch, server) in managed.launches().zip(&managed.servers) {
            assembly.run(&managed, server, launch);
        }
        Ok(assembly.with(Some(managed.account)))
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
        assembly.ask(listener, socket, RunBy::Operator(conf), None);
        assembly.with(None)
    }
}

/// A backend while its servers are put together.
struct Assembly {
    allow_list: AllowList,
    serving: watch::Sender<Serving>,
    logins: watch::Sender<u64>,
    servers: Vec<Server>,
    listeners: Vec<ListenerTask>,
    restartable: Vec<Restartable>,
}

impl Assembly {
    fn new(allow_list: AllowList) -> Self {
        Self {
            allow_list,
            serving: watch::Sender::new(Serving::Undecided),
            logins: watch::Sender::default(),
            servers: Vec::new(),
            listeners: Vec::new(),
            restartable: Vec::new(),
        }
    }

    /// Adds a server that the agent runs, as it is started.
    fn run(&mut self, managed: &ManagedOpenVpn, server: &ManagedServer, launch: Launch) {
        let log = LogKeeper::new(launch.files.log.clone());
        let conditions = StartConditions {
            allow_list: self.allow_list.clone(),
            definitions: managed.definitions.clone(),
            number: self.next_number(),
        };
        let (told, restarts) = watch::channel(0);
        let wanted = Wanted {
            serving: self.serving.subscribe(),
            restarts,
        };
        let (task, process) = ProcessTask::new(launch, conditions, wanted);
        self.restartable.push(Restartable {
            listener: server.listener,
            told,
            process: process.clone(),
        });
        let of_agent = Managed {
            tunnel: ManagedTunnel::new(server.conf.tunnel(), process.clone()),
            process,
            room: server.conf.room(),
            listeners: managed.servers.len(),
        };
        let socket = server.conf.control_socket.as_path().to_owned();
        self.ask(server.listener, socket, RunBy::Agent(of_agent), Some((task, log)));
    }

    /// Adds a server that is asked on this socket, with what looks after its process where the agent does.
    fn ask(&mut self, listener: Listener, socket: PathBuf, run_by: RunBy, process: Option<(ProcessTask, LogKeeper)>) {
        let (control_task, control) = ControlTask::new(Controlled {
            socket,
            allow_list: self.allow_list.clone(),
            number: self.next_number(),
            serving: self.serving.subscribe(),
            logins: self.logins.clone(),
        });
        self.listeners.push(ListenerTask {
            listener,
            control: control_task,
            process,
        });
        self.servers.push(Server {
            listener,
            control,
            run_by,
            siege: Siege::default(),
        });
    }

    /// That of the server that is added next.
    fn next_number(&self) -> ListenerNumber {
        ListenerNumber(self.servers.len())
    }

    fn with(self, account: Option<Account>) -> (OpenVpnBackend, OpenVpnTask) {
        let restarts = Restarts::default();
        let backend = OpenVpnBackend {
            restarts: account.is_some().then(|| restarts.clone()),
            allow_list: self.allow_list,
            servers: self.servers.into(),
            last_told: LastTold::default(),
            serving: self.serving,
            logins: self.logins,
            account,
        };
        let task = OpenVpnTask {
            listeners: self.listeners,
            restarts: RestartTask::new(restarts, self.restartable),
        };
        (backend, task)
    }
}
