//! Every subject of the bus, built and parsed here and nowhere else.

use crate::{
    ids::{NodeId, UserKey},
    node_requests::NodeRequest,
};

/// All commands, the subjects of the stream [`crate::topology::COMMANDS`].
pub const ALL_COMMANDS: &str = "vpn.cmd.>";
/// All acks.
pub const ALL_ACKS: &str = "vpn.ack.>";
/// All events.
pub const ALL_EVENTS: &str = "vpn.event.>";
/// Heartbeats of all nodes.
pub const ALL_HEARTBEATS: &str = "vpn.health.*";
/// Sync requests of all nodes.
pub const ALL_SYNCS: &str = "vpn.sync.*";
/// Signing requests of all nodes.
pub const ALL_SIGNS: &str = "vpn.sign.*";
/// Intents of all nodes.
pub const ALL_INTENTS: &str = "vpn.intent.*";
/// Requests to all nodes.
pub const ALL_NODE_REQUESTS: &str = "vpn.node.>";

/// `vpn.cmd.<node>.<user key>`: the newest command for this user on this node.
pub fn command(node: &NodeId, user: UserKey) -> String {
    format!("vpn.cmd.{node}.{user}")
}

/// `vpn.cmd.<node>.>`: everything that this node should hold.
pub fn commands_of(node: &NodeId) -> String {
    format!("vpn.cmd.{node}.>")
}

/// The node that a command of this subject is for.
pub fn node_of_command(subject: &str) -> Option<NodeId> {
    let (node, _user) = subject.strip_prefix("vpn.cmd.")?.split_once('.')?;
    node.parse().ok()
}

/// `vpn.cmd._.<publisher>`: a message that shows that the stream of commands stores what it is sent. `_` is the id of no node.
pub fn proof(publisher: &str) -> String {
    format!("vpn.cmd._.{publisher}")
}

/// Whether this is the subject of such a message.
pub fn is_proof(subject: &str) -> bool {
    subject.starts_with("vpn.cmd._.")
}

/// `vpn.ack.<node>.<user key>`.
pub fn ack(node: &NodeId, user: UserKey) -> String {
    format!("vpn.ack.{node}.{user}")
}

/// `vpn.event.<node>.<kind>`.
pub fn event(node: &NodeId, kind: &'static str) -> String {
    format!("vpn.event.{node}.{kind}")
}

/// `vpn.event.<node>.sessions`: no kind of event has that name.
pub fn sessions(node: &NodeId) -> String {
    format!("vpn.event.{node}.sessions")
}

/// `vpn.ack.<node>.>`: every ack of this node.
pub fn acks_of(node: &NodeId) -> String {
    format!("vpn.ack.{node}.>")
}

/// `vpn.event.<node>.>`: every event of this node.
pub fn events_of(node: &NodeId) -> String {
    format!("vpn.event.{node}.>")
}

/// `vpn.*.<node>`: heartbeats, sync requests, signing requests and intents of this node.
pub fn messages_of(node: &NodeId) -> String {
    format!("vpn.*.{node}")
}

/// `vpn.health.<node>`.
pub fn health(node: &NodeId) -> String {
    format!("vpn.health.{node}")
}

/// `vpn.sync.<node>`.
pub fn sync(node: &NodeId) -> String {
    format!("vpn.sync.{node}")
}

/// `vpn.sign.<node>`.
pub fn sign(node: &NodeId) -> String {
    format!("vpn.sign.{node}")
}

/// `vpn.intent.<node>`.
pub fn intent(node: &NodeId) -> String {
    format!("vpn.intent.{node}")
}

/// `vpn.node.<node>.<verb>`; the verb is [`NodeRequest::verb`].
pub fn node_request(node: &NodeId, request: &NodeRequest) -> String {
    format!("vpn.node.{node}.{}", request.verb())
}

/// `vpn.node.<node>.>`: every request to this node.
pub fn node_requests_of(node: &NodeId) -> String {
    format!("vpn.node.{node}.>")
}

/// The kind of a node's message, read from its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromNode {
    /// `vpn.ack.<node>.<user key>`
    Ack(NodeId, UserKey),
    /// `vpn.event.<node>.<kind>`
    Event(NodeId),
    /// `vpn.event.<node>.sessions`
    Sessions(NodeId),
    /// `vpn.health.<node>`
    Health(NodeId),
    /// `vpn.sync.<node>`
    Sync(NodeId),
    /// `vpn.sign.<node>`
    Sign(NodeId),
    /// `vpn.intent.<node>`
    Intent(NodeId),
}

impl FromNode {
    /// Reads a subject; `None` for one that no node publishes on.
    pub fn parse(subject: &str) -> Option<Self> {
        let tokens: Vec<&str> = subject.split('.').collect();
        match tokens.as_slice() {
            ["vpn", "ack", node, user] => Some(Self::Ack(node.parse().ok()?, user.parse().ok()?)),
            ["vpn", "event", node, "sessions"] => Some(Self::Sessions(node.parse().ok()?)),
            ["vpn", "event", node, _kind] => Some(Self::Event(node.parse().ok()?)),
            ["vpn", "health", node] => Some(Self::Health(node.parse().ok()?)),
            ["vpn", "sync", node] => Some(Self::Sync(node.parse().ok()?)),
            ["vpn", "sign", node] => Some(Self::Sign(node.parse().ok()?)),
            ["vpn", "intent", node] => Some(Self::Intent(node.parse().ok()?)),
            _ => None,
        }
    }

    /// The node that published it; the server's permissions guarantee that.
    pub fn node(&self) -> &NodeId {
        match self {
            Self::Ack(node, _)
            | Self::Event(node)
            | Self::Sessions(node)
            | Self::Health(node)
            | Self::Sync(node)
            | Self::Sign(node)
            | Self::Intent(node) => node,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_of_a_node_round_trips() {
        let node: NodeId = "server-1".parse().expect("a valid id");
        let user = UserKey::new();
        let cases = [
            (ack(&node, user), FromNode::Ack(node.clone(), user)),
            (event(&node, "user_expired"), FromNode::Event(node.clone())),
            (sessions(&node), FromNode::Sessions(node.clone())),
            (health(&node), FromNode::Health(node.clone())),
            (sync(&node), FromNode::Sync(node.clone())),
            (sign(&node), FromNode::Sign(node.clone())),
            (intent(&node), FromNode::Intent(node.clone())),
        ];
        for (subject, expected) in cases {
            assert_eq!(FromNode::parse(&subject), Some(expected), "{subject}");
        }
        assert_eq!(FromNode::parse(&command(&node, user)), None);
        assert!(is_proof(&proof("management-1")) && !is_proof(&command(&node, user)));
        assert_eq!(FromNode::parse("vpn.health.a.b"), None);
        assert_eq!(FromNode::parse("vpn.ack.server-1.not-a-uuid"), None);
    }

    #[test]
    fn commands_stand_below_the_wildcards_that_select_them() {
        let node: NodeId = "server-1".parse().expect("a valid id");
        let subject = command(&node, UserKey::new());
        assert!(subject.starts_with(commands_of(&node).trim_end_matches('>')));
        assert!(subject.starts_with(ALL_COMMANDS.trim_end_matches('>')));
        assert_eq!(node_of_command(&subject), Some(node.clone()));
        assert_eq!(node_of_command(&proof("management-1")), None);
        let request = node_request(&node, &NodeRequest::Sync);
        assert!(request.starts_with(node_requests_of(&node).trim_end_matches('>')));
    }
}
