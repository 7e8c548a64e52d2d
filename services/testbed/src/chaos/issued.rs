//! Checks that no credential was issued twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    inventory::{Audited, Credential, Inventory},
    model::Person,
    node_view::NodeView,
    trail,
};

/// What was issued twice or to the wrong user: one sentence for each violation.
pub(super) fn issued_twice(
    people: &[Person],
    inventory: &Inventory,
    nodes: &[NodeView],
    trail: &[Audited],
) -> Vec<String> {
    let mut told = more_than_one(inventory, trail);
    told.extend(more_than_asked_for(inventory, trail));
    told.extend(serials_of_others(inventory, nodes));
    told.extend(strange_profiles(people, inventory));
    told
}

fn more_than_one(inventory: &Inventory, trail: &[Audited]) -> Vec<String> {
    let moved = trail::count(trail, "user_rehomed");
    let mut told = Vec::new();
    let mut serials = BTreeMap::new();
    for credential in &inventory.credentials {
        let Some(serial) = &credential.serial else { continue };
        if let Some(other) = serials.insert(serial, &credential.common_name) {
            told.push(format!(
                "{} and {other} share the serial {serial}",
                credential.common_name
            ));
        }
    }
    for user in inventory.users.iter().filter(|user| !user.removed) {
        let valid: Vec<_> = inventory.valid_credentials_of(user).collect();
        match valid.as_slice() {
            [one] if one.certificate.is_some() => {}
            [one] => told.push(format!("{} has no certificate for {}", user.username, one.common_name)),
            // A new home makes a profile of its own, and the older ones stay valid.
            [_, ..] if moved.contains_key(user.username.as_str()) => {}
            others => told.push(format!("{} has {} valid credentials", user.username, others.len())),
        }
    }
    told
}

/// Users whose number of credentials differs from the number of their creates, reissues and new homes.
fn more_than_asked_for(inventory: &Inventory, trail: &[Audited]) -> Vec<String> {
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    for action in ["user_created", "user_reissued", "user_rehomed"] {
        for (name, times) in trail::count(trail, action) {
            *asked.entry(name).or_default() += times;
        }
    }
    let mut made: BTreeMap<&str, usize> = asked.keys().map(|name| (*name, 0)).collect();
    for credential in &inventory.credentials {
        *made.entry(owner(&credential.common_name)).or_default() += 1;
    }
    let wrong = made.into_iter().filter_map(|(name, made)| {
        let asked = asked.get(name).copied().unwrap_or(0);
        (made != asked).then(|| format!("{name} should have got {asked} credentials and got {made}"))
    });
    wrong.collect()
}

/// A common name is the username, a dot and a suffix.
fn owner(common_name: &str) -> &str {
    common_name.rsplit_once('.').map_or(common_name, |(owner, _)| owner)
}

fn serials_of_others(inventory: &Inventory, nodes: &[NodeView]) -> Vec<String> {
    let recorded: BTreeMap<&str, Option<&str>> = inventory
        .credentials
        .iter()
        .map(|credential| (credential.common_name.as_str(), credential.serial.as_deref()))
        .collect();
    let mut told = Vec::new();
    for node in nodes {
        let journal = match &node.journal {
            Ok(journal) => journal,
            Err(error) => {
                told.push(format!("the journal of {} cannot be read: {error}", node.id));
                continue;
            }
        };
        for (name, serial) in &journal.serials {
            let known = recorded.get(name.as_str()).copied().flatten();
            if known != Some(serial.as_str()) {
                told.push(format!(
                    "{} has a certificate with serial {serial} for {name}, and {known:?} is recorded",
                    node.id
                ));
            }
        }
    }
    told
}

/// Profiles whose certificate is not recorded, or belongs to another user.
fn strange_profiles(people: &[Person], inventory: &Inventory) -> Vec<String> {
    let mut told = BTreeSet::new();
    for person in people {
        for profile in &person.profiles {
            match inventory.credential_in(profile) {
                Some(credential) if owner(&credential.common_name) == person.username => {}
                Some(Credential { common_name, .. }) => {
                    told.insert(format!("a profile of {} was that of {common_name}", person.username));
                }
                None => {
                    told.insert(format!(
                        "a profile of {} had a certificate that is not recorded",
                        person.username
                    ));
                }
            }
        }
    }
    told.into_iter().collect()
}
