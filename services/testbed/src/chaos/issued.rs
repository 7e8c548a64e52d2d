//! Checks that no credential was issued twice.

use std::collections::BTreeMap;

use super::{
    accounts::{Accounts, Named},
    inventory::{Audited, Inventory},
    node_view::NodeView,
};

/// What was issued twice, or to another user or device: one sentence for each violation.
pub(super) fn issued_twice(inventory: &Inventory, nodes: &[NodeView], trail: &[Audited]) -> Vec<String> {
    let accounts = Accounts::of(trail);
    let mut told = shared(inventory);
    told.extend(without_certificate(inventory));
    told.extend(more_than_valid(inventory, &accounts));
    told.extend(more_than_asked_for(inventory, &accounts));
    told.extend(otherwise_than_named(inventory, &accounts));
    told.extend(serials_of_others(inventory, nodes));
    told.extend(accounts.wrong);
    told
}

/// Credentials with one certificate or one profile.
fn shared(inventory: &Inventory) -> Vec<String> {
    let mut told = Vec::new();
    let (mut serials, mut profiles) = (BTreeMap::new(), BTreeMap::new());
    for credential in &inventory.credentials {
        let name = &credential.common_name;
        if let Some(serial) = &credential.serial
            && let Some(other) = serials.insert(serial, name)
        {
            told.push(format!("{name} and {other} share the serial {serial}"));
        }
        if let Some(profile) = &credential.profile
            && let Some(other) = profiles.insert(profile, name)
        {
            told.push(format!("{name} and {other} share the profile {profile}"));
        }
    }
    told
}

/// Devices whose current credential has no certificate. An older one may have none: its home got another command before it made that profile.
fn without_certificate(inventory: &Inventory) -> Vec<String> {
    let mut told = Vec::new();
    for user in inventory.users.iter().filter(|user| !user.removed) {
        for (device, current) in inventory.current_of(user) {
            match current {
                Some(current) if current.certificate.is_some() => {}
                Some(current) => told.push(format!(
                    "the device {device} of {} has no certificate for {}",
                    user.username, current.common_name
                )),
                None => told.push(format!(
                    "the device {device} of {} has no credential of the home {}",
                    user.username, user.server_id
                )),
            }
        }
    }
    told
}

/// Users whose devices, or the number of their valid credentials, differ from what the audit trail tells.
fn more_than_valid(inventory: &Inventory, accounts: &Accounts<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for user in inventory.users.iter().filter(|user| !user.removed) {
        let devices = inventory.devices_of(user).into_iter();
        let is: BTreeMap<&str, usize> = devices.map(|(device, valid)| (device, valid.len())).collect();
        let should = accounts.living.get(user.username.as_str()).cloned().unwrap_or_default();
        if is != should {
            told.push(format!(
                "the valid credentials of the devices of {} should be {should:?} and are {is:?}",
                user.username
            ));
        }
    }
    told
}

/// Names whose number of credentials differs from the number that was asked for, and made for new homes.
fn more_than_asked_for(inventory: &Inventory, accounts: &Accounts<'_>) -> Vec<String> {
    let mut made: BTreeMap<&str, usize> = accounts.made.keys().map(|name| (*name, 0)).collect();
    for credential in &inventory.credentials {
        *made.entry(credential.owner()).or_default() += 1;
    }
    let wrong = made.into_iter().filter_map(|(name, made)| {
        let asked = accounts.made.get(name).copied().unwrap_or(0);
        (made != asked).then(|| format!("{name} should have got {asked} credentials and got {made}"))
    });
    wrong.collect()
}

/// Credentials that the audit trail names, and that are not there, or not as it says.
fn otherwise_than_named(inventory: &Inventory, accounts: &Accounts<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for (
        name,
        Named {
            owner,
            device,
            is_revoked,
        },
    ) in &accounts.named
    {
        let mut credentials = inventory.credentials.iter();
        match credentials.find(|credential| credential.common_name == *name) {
            None => told.push(format!(
                "the audit trail has {name} of the device {device} of {owner}, and it is not recorded"
            )),
            Some(held) if held.owner() != *owner || held.device != *device || (*is_revoked && !held.revoked) => {
                told.push(format!(
                    "the audit trail has {name} of the device {device} of {owner} (revoked: {is_revoked}), and there is {held:?}"
                ));
            }
            Some(_) => {}
        }
    }
    told
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
