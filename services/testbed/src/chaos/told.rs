//! Credentials that answers told of, and whether what they said is true: one of a device that is there is let in on every node of its user, and
//! one that was revoked nowhere.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    agreement::on_the_brink,
    credential::{By, Fate},
    inventory::{Credential, Inventory},
    model::Person,
    node_view::NodeView,
};

/// What is otherwise than the answers said: one sentence for each violation.
pub(super) fn otherwise_than_told(
    people: &[Person],
    inventory: &Inventory,
    nodes: &[NodeView],
    now: DateTime<Utc>,
) -> Vec<String> {
    let by_name: BTreeMap<&str, &Credential> = inventory
        .credentials
        .iter()
        .map(|credential| (credential.common_name.as_str(), credential))
        .collect();
    let mut wrong = BTreeSet::new();
    for person in people {
        for told in &person.told {
            let (what, found) = match &told.by {
                By::Profile(text) => ("profile", inventory.credential_in(text)),
                By::Name(name) => ("credential", by_name.get(name.as_str()).copied()),
            };
            let (username, device) = (&person.username, told.device.name());
            let Some(credential) = found else {
                let known_as = match &told.by {
                    By::Profile(_) => "had a certificate",
                    By::Name(_) => "was one",
                };
                wrong.insert(format!(
                    "a {what} of the device {device} of {username} {known_as} that is not recorded"
                ));
                continue;
            };
            let Credential { common_name, .. } = credential;
            if credential.owner() != username || credential.device != device {
                wrong.insert(format!(
                    "a {what} of the device {device} of {username} was that of {common_name}, of the device {}",
                    credential.device
                ));
                continue;
            }
            let broken = match told.fate {
                Fate::Valid => kept_out(credential, inventory, nodes, now),
                Fate::Revoked => left_over(credential, nodes),
                Fate::Unknown => Vec::new(),
            };
            wrong.extend(
                broken
                    .into_iter()
                    .map(|what| format!("{common_name}, of the device {device}, {what}")),
            );
        }
    }
    wrong.into_iter().collect()
}

/// Where a credential that no answer ended is not let in, although its user has access.
fn kept_out(credential: &Credential, inventory: &Inventory, nodes: &[NodeView], now: DateTime<Utc>) -> Vec<String> {
    if credential.revoked {
        return vec!["is revoked, and no answer said so".to_owned()];
    }
    let mut users = inventory.users.iter();
    let Some(user) = users.find(|user| Some(user.id) == credential.user_id && !user.removed) else {
        return vec!["has no user any more, and no answer said so".to_owned()];
    };
    let is_over = user.expires_at.is_some_and(|at| at <= now);
    if !user.active || is_over || on_the_brink(user.expires_at, now) {
        return Vec::new();
    }
    let of_user = inventory
        .placements
        .iter()
        .filter(|placement| placement.user_id == user.id && placement.wanted_present);
    let mut places: Vec<&str> = of_user.map(|placement| placement.server_id.as_str()).collect();
    places.retain(|place| {
        let node = nodes.iter().find(|node| node.id == **place);
        // That a list cannot be read is told elsewhere.
        let is_let_in = |node: &NodeView| match &node.allowed {
            Ok(names) => names.contains(&credential.common_name),
            Err(_) => true,
        };
        !node.is_some_and(is_let_in)
    });
    places
        .into_iter()
        .map(|place| format!("was answered as there and is not let in on {place}"))
        .collect()
}

/// Where a credential is left that an answer ended.
fn left_over(credential: &Credential, nodes: &[NodeView]) -> Vec<String> {
    let name = &credential.common_name;
    let mut left = Vec::new();
    if !credential.revoked {
        left.push("was revoked by an answer and is valid".to_owned());
    }
    for node in nodes {
        if node.allowed.as_ref().is_ok_and(|names| names.contains(name)) {
            left.push(format!("was revoked by an answer and is let in on {}", node.id));
        }
        let is_held = node
            .journal
            .as_ref()
            .is_ok_and(|journal| journal.users.values().any(|held| held.credentials.contains(name)));
        if is_held {
            left.push(format!("was revoked by an answer and is held by {}", node.id));
        }
    }
    left
}
