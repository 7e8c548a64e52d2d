//! Builds the command for one user on one node from the rows of the database.

use std::collections::HashMap;

use vpnmanager_entities::{
    credential, old_certificate,
    placement::{self, Role},
    server, user,
};
use vpnmanager_nats::{
    commands::{Command, Host, Issue, Protocol, PutUser, Remote, RemoveUser},
    groups::GroupName,
    ids::{NodeId, Revision},
    listeners::Listeners,
    old_certificates::OldCertificate,
};

use crate::domain::{device::current_credentials, placement::takes_users};

/// A user with everything that its commands are built from.
#[derive(Debug)]
pub struct CommandSource<'a> {
    /// The user.
    pub user: &'a user::Model,
    /// The credentials that are not revoked, oldest first.
    pub credentials: &'a [&'a credential::Model],
    /// The certificates of old servers that are not revoked, of all nodes.
    pub old_certificates: &'a [&'a old_certificate::Model],
    /// All nodes of the user, home first.
    pub nodes: &'a [NodeId],
    /// The endpoints of nodes.
    pub endpoints: &'a HashMap<NodeId, Endpoint>,
}

/// Where clients connect to one node.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The DNS name or address.
    pub host: Host,
    /// Ports and transports.
    pub listeners: Listeners,
    /// Whether new profiles should name it: the node is neither disabled nor draining, and stays in its pool.
    pub welcome: bool,
    /// Whether the node was lost and is not in sync again: profiles name it last.
    pub lost: bool,
}

impl Endpoint {
    /// The endpoint of a node.
    pub fn of(server: &server::Model) -> Self {
        Self {
            host: server.public_host.clone(),
            listeners: server.listeners.clone(),
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
        old_certificates: old_certificates(source, &node),
        node,
        user_key: user.key,
        username: user.username.clone(),
        revision,
        active: user.active && user.over_quota_since.is_none(),
        expires_at: user.expires_at,
        group: group_for_nodes(user),
        metered: user.own_traffic_bytes.is_some(),
        role: placement.role,
        credentials: credentials.map(|credential| credential.common_name.clone()).collect(),
    })
}

/// Those that this node may let in: it took over the server whose authority made them. Another node knows nothing of them.
fn old_certificates(source: &CommandSource<'_>, node: &NodeId) -> Vec<OldCertificate> {
    let of_node = source.old_certificates.iter().filter(|old| old.server_id == *node);
    of_node
        .map(|old| OldCertificate {
            common_name: old.common_name.clone(),
            expires_at: old.expires_at,
            revoked: old_certificate::revoked_serials(&old.revoked_serials),
        })
        .collect()
}

/// The group in which nodes know the user: one that stands for its own rules, or that which it is in. `None`: `default`.
fn group_for_nodes(user: &user::Model) -> Option<GroupName> {
    let group = user.own_group.as_ref().unwrap_or(&user.group_name);
    (!group.is_default()).then(|| group.clone())
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

/// Where clients connect, in this order, given all nodes of the user, home first: over UDP to the welcome nodes, lost ones last, and then over
/// TCP to the same. If no node is welcome, all nodes, because a profile must name a server. At most [`Issue::MOST_REMOTES`].
pub fn remotes(nodes: &[NodeId], endpoints: &HashMap<NodeId, Endpoint>) -> Vec<Remote> {
    let mut placed: Vec<&Endpoint> = nodes.iter().filter_map(|name| endpoints.get(name)).collect();
    placed.sort_by_key(|endpoint| endpoint.lost);
    if placed.iter().any(|endpoint| endpoint.welcome) {
        placed.retain(|endpoint| endpoint.welcome);
    }
    let remotes = Protocol::ALL.iter().flat_map(|protocol| over(*protocol, &placed));
    remotes.take(Issue::MOST_REMOTES).collect()
}

/// The first listener of each node that has this transport, then the second of each, and so on: a node that is down costs a client one try
/// before it comes to the next node.
fn over(protocol: Protocol, placed: &[&Endpoint]) -> impl Iterator<Item = Remote> {
    (0..Listeners::MOST).flat_map(move |round| {
        placed.iter().filter_map(move |endpoint| {
            let mut listeners = endpoint.listeners.iter().filter(|one| one.protocol == protocol);
            let listener = listeners.nth(round)?;
            Some(Remote {
                host: endpoint.host.clone(),
                port: listener.port.get(),
                protocol,
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: (bool, bool) = (true, false);
    const LOST: (bool, bool) = (true, true);
    const SHUT: (bool, bool) = (false, false);

    /// The remotes of a user on these nodes, home first. A node is a host, its listeners, and whether it is welcome and lost.
    fn named(nodes: &[(&str, &str, (bool, bool))]) -> Vec<String> {
        let ids: Vec<NodeId> = (0..nodes.len())
            .map(|number| format!("n{number}").parse().expect("a valid id"))
            .collect();
        let endpoints = nodes.iter().map(|&(host, listeners, (welcome, lost))| Endpoint {
            host: host.parse().expect("a host"),
            listeners: listeners.parse().expect("listeners"),
            welcome,
            lost,
        });
        let endpoints = ids.iter().cloned().zip(endpoints).collect();
        remotes(&ids, &endpoints)
            .iter()
            .map(|Remote { host, port, protocol }| format!("{host} {port} {protocol}"))
            .collect()
    }

    #[test]
    fn a_profile_names_the_welcome_nodes_with_lost_ones_last_and_all_when_none_is() {
        let of_two = |one, other| named(&[("one", "udp:1194", one), ("other", "udp:1194", other)]);
        let (one, other) = ("one 1194 udp", "other 1194 udp");
        assert_eq!(of_two(WELL, WELL), [one, other]);
        assert_eq!(of_two(LOST, WELL), [other, one]);
        assert_eq!(of_two(SHUT, WELL), [other]);
        assert_eq!(of_two(SHUT, SHUT), [one, other]);
    }

    #[test]
    fn a_profile_names_all_nodes_over_udp_and_then_all_over_tcp() {
        let both = "udp:1194,tcp:443";
        assert_eq!(
            named(&[("home", both, WELL), ("other", both, WELL)]),
            ["home 1194 udp", "other 1194 udp", "home 443 tcp", "other 443 tcp"]
        );
        assert_eq!(
            named(&[("home", both, LOST), ("other", both, WELL)]),
            ["other 1194 udp", "home 1194 udp", "other 443 tcp", "home 443 tcp"]
        );
        assert_eq!(
            named(&[("home", "tcp:443", WELL), ("other", both, WELL)]),
            ["other 1194 udp", "home 443 tcp", "other 443 tcp"]
        );
    }

    #[test]
    fn a_node_that_is_down_costs_one_try_before_the_next_node() {
        assert_eq!(
            named(&[("home", "udp:1194,udp:53", WELL), ("other", "udp:1194,udp:123", WELL)]),
            ["home 1194 udp", "other 1194 udp", "home 53 udp", "other 123 udp"]
        );
    }

    #[test]
    fn a_profile_names_no_more_than_its_readers_take() {
        let four = ("host", "udp:1,udp:2,tcp:1,tcp:2", WELL);
        assert_eq!(named(&[four; 16]).len(), 64);
        assert_eq!(named(&[four; 17]).len(), 64);
    }
}
