//! What stack to build.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::postgres::Durability;

/// How long a stack lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as its owner: gone when the `Stack` is dropped or its process dies.
    Owner,
    /// Until [`Stack::down`](super::Stack::down). State and environment file are in this folder.
    Kept(PathBuf),
}

/// One finished step, for who watches.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was done.
    pub what: String,
    /// What came of it.
    pub result: String,
    /// How long it took.
    pub took: Duration,
}

/// A bus that nodes reach through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusPorts {
    /// nats-server listens here.
    pub server: u16,
    /// Nodes are told to come here.
    pub public: u16,
}

/// What stack to build; the default is what a test wants.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Number of nodes: node-1, node-2, ...
    pub nodes: u8,
    /// Number of managements on the one database and bus: `management`, `replica-2`, ...
    pub managements: u8,
    /// Letters, digits and dashes, at most 20: becomes part of folder and namespace names. Random when absent.
    pub id: Option<String>,
    /// Real OpenVPN in namespaces. Absent: where this machine can.
    pub tunnels: Option<bool>,
    /// What a commit in PostgreSQL is worth; durable stacks also live on disk.
    pub durability: Durability,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Takes 8080, 4222 and 8222 where they are free, in place of random ports.
    pub usual_ports: bool,
    /// The bus behind something of the caller's; absent: nodes reach it directly.
    pub bus_ports: Option<BusPorts>,
    /// Gives every node's state folder a small disk of its own (a tmpfs of so many MiB), which can be filled. Needs root.
    pub node_disk: Option<u32>,
    /// More environment variables for management.
    pub management_env: Vec<(String, String)>,
    /// More environment variables for every node.
    pub node_env: Vec<(String, String)>,
    /// Is told every finished step.
    pub progress: fn(&Step),
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            nodes: 2,
            managements: 1,
            id: None,
            tunnels: None,
            durability: Durability::Fast,
            lifetime: Lifetime::Owner,
            usual_ports: false,
            bus_ports: None,
            node_disk: None,
            management_env: Vec::new(),
            node_env: Vec::new(),
            progress: |_| {},
        }
    }
}
