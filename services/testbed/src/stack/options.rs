//! What stack to build.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Listener, Part};
use crate::postgres::Durability;

/// How long a stack lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as its owner: gone when the `Stack` is dropped or its process dies.
    Owner,
    /// Until [`Stack::down`](super::Stack::down). State and environment file are in this folder.
    Kept(PathBuf),
}

/// A finished step, for progress messages.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was done.
    pub what: String,
    /// The result.
    pub result: String,
    /// How long it took.
    pub took: Duration,
}

/// A bus that nodes reach through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusPorts {
    /// nats-server listens here.
    pub server: u16,
    /// The port that nodes are told to use.
    pub public: u16,
}

/// How a node's OpenVPN runs, where there are tunnels. Elsewhere there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeMode {
    /// The agent runs it.
    #[default]
    Managed,
    /// The stack runs it, as an operator would, from `deploy/examples/server.conf`.
    External,
    /// There is none: the agent only keeps the allow-list.
    None,
}

/// What stack to build; the defaults are for tests.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Number of nodes: node-1, node-2, ...
    pub nodes: u8,
    /// How their OpenVPN runs, in the order of their numbers; managed for those that are not named.
    pub modes: Vec<NodeMode>,
    /// The pools that they are in, in the order of their numbers; `default` for those that are not named.
    pub pools: Vec<String>,
    /// Where their OpenVPN listens, in the order of their numbers, if their agents run it. A node with none, or that is not named, is told
    /// nothing: it listens at UDP 1194.
    pub listeners: Vec<Vec<Listener>>,
    /// Number of managements on the one database and bus: `management`, `replica-2`, ...
    pub managements: u8,
    /// Letters, digits and dashes, at most 20: becomes part of folder and namespace names. Random when absent.
    pub id: Option<String>,
    /// Whether to run real OpenVPN in namespaces. `None`: if this machine can.
    pub tunnels: Option<bool>,
    /// Whether a commit in PostgreSQL waits for the disk; durable stacks are also on disk and not in memory.
    pub durability: Durability,
    /// Whether there is a service host behind the nodes, where there are tunnels.
    pub service: bool,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Whether management serves HTTPS, with a certificate of the fleet's CA.
    pub tls: bool,
    /// Whether to use the ports 8080, 4222 and 8222 if they are free, and not random ones.
    pub usual_ports: bool,
    /// The ports of a bus behind a proxy of the caller. `None`: nodes connect to the bus directly.
    pub bus_ports: Option<BusPorts>,
    /// Gives every node's state folder its own small disk (a tmpfs of so many MiB) that a test can fill. Needs root.
    pub node_disk: Option<u32>,
    /// The same for the store of the bus.
    pub bus_disk: Option<u32>,
    /// The most file descriptors that management may have. `None`: as many as this program.
    pub management_open_files: Option<u32>,
    /// Programs of another release, for parts that are a management or an agent. Management's also makes the bus.
    pub programs: Vec<(Part, PathBuf)>,
    /// More environment variables for management.
    pub management_env: Vec<(String, String)>,
    /// More environment variables for every node.
    pub node_env: Vec<(String, String)>,
    /// Is called after every finished step.
    pub progress: fn(&Step),
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            nodes: 2,
            modes: Vec::new(),
            pools: Vec::new(),
            listeners: Vec::new(),
            managements: 1,
            id: None,
            tunnels: None,
            durability: Durability::Fast,
            service: false,
            lifetime: Lifetime::Owner,
            tls: false,
            usual_ports: false,
            bus_ports: None,
            node_disk: None,
            bus_disk: None,
            management_open_files: None,
            programs: Vec::new(),
            management_env: Vec::new(),
            node_env: Vec::new(),
            progress: |_| {},
        }
    }
}
