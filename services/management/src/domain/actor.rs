//! Who asked for a change, as recorded in the audit trail.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use vpnmanager_nats::ids::NodeId;

use super::scope::Scope;

/// Who asked for a change, from where, and in which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `key:<name>`, `link:<id>`, `node:<id>`, `local:<node>`, `system`, `command` or `unknown`.
    pub name: String,
    /// The address that the request came from.
    pub address: Option<IpAddr>,
    /// The id of the request, as in the `x-request-id` header of the answer.
    pub request_id: Option<String>,
    /// What it may see and change.
    pub scope: Scope,
}

impl Actor {
    /// The holder of an API key.
    pub fn key(name: &str, address: Option<IpAddr>, request_id: Option<String>) -> Self {
        Self {
            name: format!("key:{name}"),
            address,
            request_id,
            scope: Scope::default(),
        }
    }

    /// Whoever a row of the database names, as it was recorded there.
    pub fn recorded(name: &str, address: Option<IpNetwork>, request_id: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            address: address.map(|address| address.ip()),
            request_id: request_id.map(str::to_owned),
            scope: Scope::default(),
        }
    }

    /// A node, over the bus.
    pub fn node(node: &NodeId) -> Self {
        Self {
            name: format!("node:{node}"),
            address: None,
            request_id: None,
            scope: Scope::default(),
        }
    }

    /// Root of the machine of a node, at the socket of its local API, by the node's word.
    pub fn local(node: &NodeId) -> Self {
        Self {
            name: format!("local:{node}"),
            address: None,
            request_id: None,
            scope: Scope::default(),
        }
    }

    /// Whose users those are that it creates: what is asked at a node counts for the node, whoever it says that asked.
    pub fn creator(&self) -> String {
        match self.name.strip_prefix("local:") {
            Some(node) => format!("node:{node}"),
            None => self.name.clone(),
        }
    }

    /// Somebody without a valid key.
    pub fn unknown(address: Option<IpAddr>) -> Self {
        Self {
            name: "unknown".to_owned(),
            address,
            request_id: None,
            scope: Scope::default(),
        }
    }

    /// The same caller, narrowed to this.
    #[must_use]
    pub fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// The same caller, as the holder of the link to a profile with this id.
    #[must_use]
    pub fn holding_link(self, id: i64) -> Self {
        Self {
            name: format!("link:{id}"),
            ..self
        }
    }

    /// Who ran a command of management's program.
    pub fn command() -> Self {
        Self {
            name: "command".to_owned(),
            address: None,
            request_id: None,
            scope: Scope::default(),
        }
    }

    /// Management itself.
    pub fn system() -> Self {
        Self {
            name: "system".to_owned(),
            address: None,
            request_id: None,
            scope: Scope::default(),
        }
    }
}
