//! The state of a stack: everything that another process needs to find, stop and start its parts.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Listener, NodeMode, Part, ServiceState, StackError,
    further::further_openvpns,
    listener::{numbered, server_address},
};
use crate::{
    binaries::Missing,
    net::{Namespace, Network},
    postgres::Durability,
    process::Identity,
};

/// Names the process of a node's first listener.
const FIRST_PID: &str = "openvpn.pid";

/// A stack as written to its state file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The id that is part of every name of the stack.
    pub id: String,
    /// Folder for everything that its parts write.
    pub dir: PathBuf,
    /// Folder of the state and environment files.
    pub home: PathBuf,
    /// First admin key of management, local key of the nodes.
    pub api_key: String,
    /// The network, where there are tunnels.
    pub network: Option<Network>,
    /// Whether a commit in PostgreSQL waits for the disk.
    pub durability: Durability,
    /// PostgreSQL's port.
    pub postgres_port: u16,
    /// PostgreSQL's main process.
    pub postgres: Option<Identity>,
    /// nats-server's port for clients.
    pub nats_port: u16,
    /// The port that nodes are told to use, if it is another one.
    #[serde(default)]
    pub public_nats_port: Option<u16>,
    /// nats-server's monitoring port.
    pub nats_monitor_port: u16,
    /// nats-server.
    pub nats: Option<Identity>,
    /// Management's port.
    pub management_port: u16,
    /// Whether it serves HTTPS.
    #[serde(default)]
    pub tls: bool,
    /// Management.
    pub management: Option<Identity>,
    /// More managements beside it.
    #[serde(default)]
    pub replicas: Vec<ReplicaState>,
    /// Programs of another release, by the name of the part that runs them from its next start on.
    #[serde(default)]
    pub programs: BTreeMap<String, PathBuf>,
    /// More environment variables for management.
    pub management_env: Vec<(String, String)>,
    /// The most file descriptors of management, where it has fewer than this program.
    #[serde(default)]
    pub management_open_files: Option<u32>,
    /// MiB of each node's own disk, where it has one.
    #[serde(default)]
    pub node_disk: Option<u32>,
    /// MiB of the own disk of the bus, where it has one.
    #[serde(default)]
    pub bus_disk: Option<u32>,
    /// More environment variables for every node.
    pub node_env: Vec<(String, String)>,
    /// The service host behind the nodes, where there is one.
    #[serde(default)]
    pub service: Option<ServiceState>,
    /// The nodes in the order of their numbers.
    pub nodes: Vec<NodeState>,
}

/// One more management as written to the state file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplicaState {
    /// 2, 3, ...
    pub number: u8,
    /// Its port.
    pub port: u16,
    /// Its process.
    pub process: Option<Identity>,
}

/// One node as written to the state file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeState {
    /// 1, 2, ...
    pub number: u8,
    /// Port of its local API.
    pub port: u16,
    /// Its namespace, where there are tunnels.
    pub namespace: Option<Namespace>,
    /// Its agent.
    pub agent: Option<Identity>,
    /// How its OpenVPN runs.
    #[serde(default)]
    pub mode: NodeMode,
    /// The pool that it is in, where that is not `default`.
    #[serde(default)]
    pub pool: Option<String>,
    /// Where its OpenVPN listens, as its agent is told at its next start; empty: it is told nothing.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// Its OpenVPN, where the stack runs it.
    #[serde(default)]
    pub openvpn: Option<Identity>,
}

impl ReplicaState {
    /// Its URL for callers on this machine.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl State {
    /// Reads the state file in `home`.
    ///
    /// # Errors
    /// [`StackError::NotUp`] when there is none.
    pub fn load(home: &Path) -> Result<Self, StackError> {
        let file = home.join("state.json");
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StackError::NotUp { file }),
            Err(error) => return Err(StackError::file(file)(error)),
        };
        serde_json::from_slice(&text)
            .map_err(io::Error::from)
            .map_err(StackError::file(file))
    }

    /// Writes the state file and the environment file.
    pub fn save(&self) -> Result<(), StackError> {
        let file = self.home.join("state.json");
        let text = serde_json::to_string_pretty(self)
            .map_err(io::Error::from)
            .map_err(StackError::file(&file))?;
        replace(&file, &text)?;
        replace(&self.home.join("env"), &self.env_file())
    }

    /// Removes both files.
    pub fn forget(&self) {
        for name in ["state.json", "env"] {
            // What is not there need not be removed.
            let _ = fs::remove_file(self.home.join(name));
        }
    }

    /// Our address in the network of the nodes.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.network.as_ref().map_or(Ipv4Addr::LOCALHOST, Network::gateway)
    }

    /// The running process of a part; of an OpenVPN with several listeners that of the first.
    #[must_use]
    pub fn process(&self, part: Part) -> Option<Identity> {
        let process = match part {
            Part::Management => self.management,
            Part::Replica(number) => self.replica(number).and_then(|replica| replica.process),
            Part::Nats => self.nats,
            Part::Postgres => self.postgres,
            Part::Node(number) => self.node_state(number).and_then(|node| node.agent),
            Part::Openvpn(number) => self.node_state(number).and_then(|node| match node.mode {
                NodeMode::Managed => Identity::from_pid_file(&self.openvpn_dir(number).join(FIRST_PID)).ok(),
                NodeMode::External => node.openvpn,
                NodeMode::None => None,
            }),
        };
        process.filter(Identity::alive)
    }

    /// Every running process of a part. Only an OpenVPN that its agent runs may have several: one for each listener, that of the first before
    /// the others, also of listeners that its agent is not told of any more.
    #[must_use]
    pub fn processes(&self, part: Part) -> Vec<Identity> {
        let first = self.process(part);
        let others = match part {
            Part::Openvpn(number) if self.mode(number) == NodeMode::Managed => {
                further_openvpns(&self.openvpn_dir(number))
            }
            Part::Management | Part::Replica(_) | Part::Nats | Part::Postgres | Part::Node(_) | Part::Openvpn(_) => {
                Vec::new()
            }
        };
        first.into_iter().chain(others).collect()
    }

    /// Whether every process that a part should have runs.
    #[must_use]
    pub fn runs(&self, part: Part) -> bool {
        let wanted = match part {
            Part::Openvpn(number) => self.listeners(number).len(),
            Part::Management | Part::Replica(_) | Part::Nats | Part::Postgres | Part::Node(_) => 1,
        };
        self.process(part).is_some() && self.processes(part).len() >= wanted
    }

    /// Where a node's OpenVPN listens, in the order of the agent: UDP first.
    #[must_use]
    pub fn listeners(&self, number: u8) -> Vec<Listener> {
        match self.node_state(number) {
            Some(node) if !node.listeners.is_empty() => numbered(&node.listeners),
            Some(_) | None => vec![Listener::UDP],
        }
    }

    /// The address of node-1 inside the tunnel of the listener at this port; of the first one where none is given, or none has it.
    #[must_use]
    pub fn inner_address(&self, port: Option<u16>) -> Ipv4Addr {
        let listeners = self.listeners(1);
        let place = listeners.iter().position(|listener| Some(listener.port) == port);
        server_address(place.unwrap_or(0), listeners.len())
    }

    /// The program that a part runs from its next start on: that of another release where one was given, and the `usual` one elsewhere.
    pub(super) fn program(&self, part: Part, usual: fn() -> Result<PathBuf, Missing>) -> Result<PathBuf, Missing> {
        match self.programs.get(&part.to_string()) {
            Some(other) => Ok(other.clone()),
            None => usual(),
        }
    }

    /// Whether any part runs.
    #[must_use]
    pub fn any_alive(&self) -> bool {
        let nodes = self
            .nodes
            .iter()
            .flat_map(|node| [Part::Node(node.number), Part::Openvpn(node.number)]);
        let replicas = self.replicas.iter().map(|replica| Part::Replica(replica.number));
        nodes
            .chain(replicas)
            .chain([Part::Management, Part::Nats, Part::Postgres])
            .any(|part| !self.processes(part).is_empty())
    }

    /// One node.
    #[must_use]
    pub fn node_state(&self, number: u8) -> Option<&NodeState> {
        self.nodes.iter().find(|node| node.number == number)
    }

    /// How the OpenVPN of this node runs.
    #[must_use]
    pub fn mode(&self, number: u8) -> NodeMode {
        self.node_state(number).map(|node| node.mode).unwrap_or_default()
    }

    /// The store of the bus.
    #[must_use]
    pub fn bus_store(&self) -> PathBuf {
        self.dir.join("jetstream")
    }

    /// One more management.
    #[must_use]
    pub fn replica(&self, number: u8) -> Option<&ReplicaState> {
        self.replicas.iter().find(|replica| replica.number == number)
    }

    /// The state folder of a node's agent.
    #[must_use]
    pub fn node_dir(&self, number: u8) -> PathBuf {
        self.dir.join(format!("node-{number}"))
    }

    /// Where a node's agent keeps what its OpenVPN needs.
    fn openvpn_dir(&self, number: u8) -> PathBuf {
        self.node_dir(number).join("openvpn")
    }

    /// The log of a part; of an OpenVPN with several listeners that of the first.
    #[must_use]
    pub fn log(&self, part: Part) -> PathBuf {
        match part {
            Part::Openvpn(number) => match self.mode(number) {
                NodeMode::Managed | NodeMode::None => self.openvpn_dir(number).join("openvpn.log"),
                NodeMode::External => self.dir.join("logs").join(format!("{part}.log")),
            },
            // Beside its data folder, where its user may write.
            Part::Postgres => self.dir.join("postgres.log"),
            Part::Management | Part::Replica(_) | Part::Nats | Part::Node(_) => {
                self.dir.join("logs").join(format!("{part}.log"))
            }
        }
    }

    /// The folder that bus-init made.
    pub fn bus_dir(&self) -> PathBuf {
        self.dir.join("bus")
    }

    pub(super) fn nats_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.nats_port).into()
    }

    pub(super) fn nats_monitor(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.nats_monitor_port).into()
    }
}

/// Replaces a file atomically. Both files hold secrets, so only the owner may read them.
fn replace(file: &Path, text: &str) -> Result<(), StackError> {
    let temporary = file.with_extension("new");
    let write = || {
        fs::write(&temporary, "")?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600))?;
        fs::write(&temporary, text)?;
        fs::rename(&temporary, file)
    };
    write().map_err(StackError::file(file))
}
