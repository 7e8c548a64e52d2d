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
    old::{OldOpenVpn, OldRun},
    process::{Launch, LogKeeper, ProcessTask, StartConditions, Wanted},
    restart::{RestartTask, Restartable, Restarts},
    room::Room,
    server::{Managed, RunBy, Server},
    session_numbers::OLD,
    task::{ListenerTask, OpenVpnTask},
    tunnel::Tunnel,
};
use crate::{
    account::Account,
    allow_list::{AllowList, AllowListError},
    backend::Serving,
    groups::Definitions,
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

    /// A backend beside the others of the node for its old listener, whoever runs that. It counts its logins with theirs.
    pub fn old(allow_list: AllowList, old: OldOpenVpn, logins: watch::Sender<u64>) -> (Self, OpenVpnTask) {
        let OldOpenVpn { listener, socket, run } = old;
        let mut assembly = Assembly {
            first_number: OLD,
            logins,
            ..Assembly::new(allow_list)
        };
        let Some(run) = run else {
            make_folder_of(&socket);
            assembly.ask(listener, socket, RunBy::Operator(None), None);
            return assembly.with(None);
        };
        let OldRun {
            launch,
            account,
            room,
            obstacle,
        } = run;
        let conditions = StartConditions {
            allow_list: assembly.allow_list.clone(),
            // No group has rules in its network: nothing is waited for.
            definitions: Definitions::default(),
            number: assembly.next_number(),
            obstacle,
        };
        assembly.keep(Kept {
            listener,
            socket,
            launch,
            conditions,
            tunnel: None,
            room,
            listeners: 1,
        });
        assembly.with(Some(account))
    }
}

/// A server whose process the agent keeps.
struct Kept {
    listener: Listener,
    socket: PathBuf,
    launch: Launch,
    conditions: StartConditions,
    tunnel: Option<Tunnel>,
    room: Room,
    /// How many listeners its addresses are divided among.
    listeners: usize,
}

/// A backend while its servers are put together.
struct Assembly {
    /// The number of the first server among all OpenVPNs of the node.
    first_number: usize,
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
            first_number: 0,
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
        let conditions = StartConditions {
            allow_list: self.allow_list.clone(),
            definitions: managed.definitions.clone(),
            number: self.next_number(),
            obstacle: None,
        };
        self.keep(Kept {
            listener: server.listener,
            socket: server.conf.control_socket.as_path().to_owned(),
            launch,
            conditions,
            tunnel: Some(server.conf.tunnel()),
            room: server.conf.room(),
            listeners: managed.servers.len(),
        });
    }

    fn keep(&mut self, kept: Kept) {
        let Kept {
            listener,
            socket,
            launch,
            conditions,
            tunnel,
            room,
            listeners,
        } = kept;
        let log = LogKeeper::new(launch.files.log.clone());
        let (told, restarts) = watch::channel(0);
        let wanted = Wanted {
            serving: self.serving.subscribe(),
            restarts,
        };
        let (task, process) = ProcessTask::new(launch, conditions, wanted);
        self.restartable.push(Restartable {
            listener,
            told,
            process: process.clone(),
        });
        let of_agent = Managed {
            tunnel: tunnel.map(|tunnel| ManagedTunnel::new(tunnel, process.clone())),
            process,
            room,
            listeners,
        };
        self.ask(listener, socket, RunBy::Agent(of_agent), Some((task, log)));
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
            first_number: self.first_number,
            last_told: LastTold::from_number(self.first_number),
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
