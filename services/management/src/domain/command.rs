//! Builds the command for one user on one node from the rows of the database.

use std::collections::HashMap;

use vpnmanager_entities::{
    credential,
    placement::{self, Role},
    server, user,
};
use vpnmanager_nats::{
    commands::{Command, Issue, PutUser, Remote, RemoveUser},
    ids::{NodeId, Revision},
};

use crate::domain::{device::current_credentials, placement::takes_users};

/// A user with everything that its commands are built from.
#[derive(Debug)]
pub struct CommandSource<'a> {
    /// The user.
    pub user: &'a user::Model,
    /// The credentials that are not revoked, oldest first.
    pub credentials: &'a [&'a credential::Model],
    /// All nodes of the user, home first.
    pub nodes: &'a [NodeId],
    /// The endpoints of nodes.
    pub endpoints: &'a HashMap<NodeId, Endpoint>,
}

/// Where clients connect to one node.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Address, port and transport.
    pub remote: Remote,
    /// Whether new profiles should name it: the node is neither disabled nor draining, and stays in its pool.
    pub welcome: bool,
    /// Whether the node was lost and is not in sync again: profiles name it last.
    pub lost: bool,
}

impl Endpoint {
    /// The endpoint of a node.
    pub fn of(server: &server::Model) -> Self {
        Self {
            remote: Remote {
                host: server.public_host.clone(),
                // A CHECK of the database limits it to 1 to 65535.
                port: server.public_port.try_into().unwrap_or_default(),
                protocol: server.public_protocol,
            },
            welcome: takes_users(server),
            lost: server.lost_since.is_some(),
        }
    }
}

/// Builds the command that carries the user's state to the node of this placement.
pub fn compose(source: &CommandSource<'_>, placement: &placement::Model) -> Command {
    let user = source.user;
    let node = placement.server_id.clone();
    let revision = Revision(placement.wanted_revision);
    if !placement.wanted_present {
        return Command::RemoveUser(RemoveUser {
            node,
            user_key: user.key,
            username: user.username.clone(),
            revision,
        });
    }
    let credentials = source.credentials.iter();
    Command::PutUser(PutUser {
        issue: match placement.role {
            Role::Home => issue(source, &node),
            Role::Standby => None,
        },
        node,
        user_key: user.key,
        username: user.username.clone(),
        revision,
        active: user.active && user.over_quota_since.is_none(),
        expires_at: user.expires_at,
        group: (!user.group_name.is_default()).then(|| user.group_name.clone()),
        metered: user.own_traffic_bytes.is_some(),
        role: placement.role,
        credentials: credentials.map(|credential| credential.common_name.clone()).collect(),
    })
}

/// The current credential of each device: that of the device `default` first, and the others in the order of their ids. Agents of before
/// devices make the first profile only. `None`: the user has no device that the node makes a profile for.
fn issue(source: &CommandSource<'_>, node: &NodeId) -> Option<Issue> {
    let mut current = current_credentials(source.credentials.iter().copied(), node);
    current.sort_by_key(|credential| !credential.device.is_default());
    let mut names = current.into_iter().map(|credential| credential.common_name.clone());
    Some(Issue {
        common_name: names.next()?,
        further: names.collect(),
        remotes: remotes(source.nodes, source.endpoints),
    })
}

/// Where clients connect, in this order, given all nodes of the user, home first: the welcome nodes, lost ones last. If none is welcome,
/// all nodes, because a profile must name a server.
pub fn remotes(nodes: &[NodeId], endpoints: &HashMap<NodeId, Endpoint>) -> Vec<Remote> {
    let mut placed: Vec<&Endpoint> = nodes.iter().filter_map(|name| endpoints.get(name)).collect();
    placed.sort_by_key(|endpoint| endpoint.lost);
    if placed.iter().any(|endpoint| endpoint.welcome) {
        placed.retain(|endpoint| endpoint.welcome);
    }
    placed.into_iter().map(|endpoint| endpoint.remote.clone()).collect()
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::commands::Protocol;

    use super::*;

    #[test]
    fn a_profile_names_the_welcome_nodes_with_lost_ones_last_and_all_when_none_is() {
        let endpoint = |host: &str, (welcome, lost)| Endpoint {
            remote: Remote {
                host: host.parse().expect("a host"),
                port: 1194,
                protocol: Protocol::Udp,
            },
            welcome,
            lost,
        };
        let id = |name: &str| -> NodeId { name.parse().expect("a valid id") };
        let nodes = ["n1", "n2"].map(id);
        let named = |one, other| -> Vec<String> {
            let endpoints = HashMap::from([
                (id("n1"), endpoint("one.example", one)),
                (id("n2"), endpoint("other.example", other)),
            ]);
            remotes(&nodes, &endpoints)
                .iter()
                .map(|remote| remote.host.to_string())
                .collect()
        };
        let (well, lost, shut) = ((true, false), (true, true), (false, false));
        assert_eq!(named(well, well), ["one.example", "other.example"]);
        assert_eq!(named(lost, well), ["other.example", "one.example"]);
        assert_eq!(named(shut, well), ["other.example"]);
        assert_eq!(named(shut, shut), ["one.example", "other.example"]);
    }
}
