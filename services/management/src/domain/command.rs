//! What a node is told about a user, made from the rows.

use std::collections::HashMap;

use vpnmanager_entities::{credential, placement, user};
use vpnmanager_nats::{
    commands::{Command, Issue, PutUser, Remote, RemoveUser, Role},
    ids::{CommonName, NodeId, Revision, UserKey},
};

/// A user with everything that its commands are made of.
#[derive(Debug)]
pub struct UserState<'a> {
    /// The user.
    pub user: &'a user::Model,
    /// What still lets the user in, oldest first.
    pub credentials: &'a [&'a credential::Model],
    /// All nodes of the user, home first.
    pub nodes: &'a [String],
    /// What clients dial, by node.
    pub endpoints: &'a HashMap<String, Endpoint>,
}

/// What clients dial at one node.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Address, port and transport.
    pub remote: Remote,
    /// Whether a new profile should name it: the operator neither disabled nor drains the node.
    pub welcome: bool,
    /// Whether it was lost and is not back in sync: it is named last.
    pub lost: bool,
}

/// A row that no command can be made of: it was not written by this release.
#[derive(Debug, thiserror::Error)]
#[error("the {what} in the database is not valid")]
pub struct InvalidRow {
    what: &'static str,
}

/// The command that carries the user's state to the node of this placement.
///
/// # Errors
/// When a name in the rows does not parse.
pub fn compose(state: &UserState<'_>, placement: &placement::Model) -> Result<Command, InvalidRow> {
    let invalid = |what| InvalidRow { what };
    let node: NodeId = placement.server_id.parse().map_err(|_| invalid("server id"))?;
    let username = state.user.username.parse().map_err(|_| invalid("username"))?;
    let user_key = UserKey(state.user.key);
    let revision = Revision(placement.wanted_revision);
    if !placement.wanted_present {
        return Ok(Command::RemoveUser(RemoveUser {
            node,
            user_key,
            username,
            revision,
        }));
    }
    let mut credentials = Vec::with_capacity(state.credentials.len());
    for credential in state.credentials {
        credentials.push(
            credential
                .common_name
                .parse::<CommonName>()
                .map_err(|_| invalid("common name"))?,
        );
    }
    let (role, issue) = match placement.role {
        placement::Role::Home => (Role::Home, issue(state, &node)?),
        placement::Role::Standby => (Role::Standby, None),
    };
    Ok(Command::PutUser(PutUser {
        node,
        user_key,
        username,
        revision,
        active: state.user.active,
        expires_at: state.user.expires_at,
        role,
        credentials,
        issue,
    }))
}

/// The newest credential that is homed on the node.
fn issue(state: &UserState<'_>, node: &NodeId) -> Result<Option<Issue>, InvalidRow> {
    let homed = state
        .credentials
        .iter()
        .rev()
        .find(|credential| credential.server_id == node.as_str());
    let Some(credential) = homed else {
        return Ok(None);
    };
    let common_name = credential
        .common_name
        .parse()
        .map_err(|_| InvalidRow { what: "common name" })?;
    Ok(Some(Issue {
        common_name,
        remotes: remotes(state.nodes, state.endpoints),
    }))
}

/// The welcome ones, those that are there first; all of them when none is welcome, because a profile must name a server.
fn remotes(nodes: &[String], endpoints: &HashMap<String, Endpoint>) -> Vec<Remote> {
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
        let nodes = ["n1", "n2"].map(str::to_owned);
        let named = |one, other| -> Vec<String> {
            let endpoints = HashMap::from([
                ("n1".to_owned(), endpoint("one.example", one)),
                ("n2".to_owned(), endpoint("other.example", other)),
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
