//! What a node holds, in its journal and in the folder that OpenVPN reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use vpnmanager_testbed::stack::{Node, NodeMode};

use super::{
    node_journal::NodeJournal,
    place::{self, Place},
};

/// The state of a node at one moment.
#[derive(Debug, Clone)]
pub(super) struct NodeView {
    pub(super) id: String,
    pub(super) mode: NodeMode,
    /// The journal, or why it cannot be read.
    pub(super) journal: Result<NodeJournal, String>,
    /// The common names on the allow-list, or why it cannot be read.
    pub(super) allowed: Result<BTreeSet<String>, String>,
    /// Those that have an address of their own inside the tunnel, as members of groups have.
    pub(super) places: BTreeMap<String, Place>,
    /// What OpenVPN pushes to all others; empty where the agent does not run it.
    pub(super) pushed: String,
}

impl NodeView {
    pub(super) fn look(node: Node<'_>) -> Self {
        Self {
            id: node.id(),
            // Without a namespace there is no tunnel, whatever the stack was asked for.
            mode: node.namespace().map_or(NodeMode::None, |_| node.mode()),
            journal: NodeJournal::read(&node.dir().join("journal.db")).map_err(|error| error.to_string()),
            allowed: node.allow_list().map_err(|error| error.to_string()),
            places: place::read(&node.allow_dir()),
            pushed: fs::read_to_string(node.dir().join("pushed")).unwrap_or_default(),
        }
    }
}
