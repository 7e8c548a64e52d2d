//! What a node holds, in its journal and in the folder that OpenVPN reads.

use std::collections::BTreeSet;

use vpnmanager_testbed::stack::Node;

use super::node_journal::NodeJournal;

/// The state of a node at one moment.
#[derive(Debug, Clone)]
pub(super) struct NodeView {
    pub(super) id: String,
    /// The journal, or why it cannot be read.
    pub(super) journal: Result<NodeJournal, String>,
    /// The common names on the allow-list, or why it cannot be read.
    pub(super) allowed: Result<BTreeSet<String>, String>,
}

impl NodeView {
    pub(super) fn look(node: Node<'_>) -> Self {
        Self {
            id: node.id(),
            journal: NodeJournal::read(&node.dir().join("journal.db")).map_err(|error| error.to_string()),
            allowed: node.allow_list().map_err(|error| error.to_string()),
        }
    }
}
