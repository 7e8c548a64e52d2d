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
    pub endpoints: &'a HashMap<String, Remote>,
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
    let remotes = state
        .nodes
        .iter()
        .filter_map(|name| state.endpoints.get(name))
        .cloned()
        .collect();
    Ok(Some(Issue { common_name, remotes }))
}
