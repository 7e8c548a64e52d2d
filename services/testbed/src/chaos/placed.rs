//! Whether members of groups are let in with addresses of their groups, and nobody else is.

use std::collections::{BTreeMap, BTreeSet};

use vpnmanager_testbed::stack::NodeMode;

use super::{group::Group, inventory::Inventory, node_view::NodeView, place::Place};

/// The upper half of the network is given to credentials.
const FIRST_BLOCK: u8 = 128;

/// Whoever is let in with another address than that of a member of her group: one sentence for each.
pub(super) fn otherwise(inventory: &Inventory, node: &NodeView) -> Vec<String> {
    // That the list cannot be read is told elsewhere.
    let Ok(allowed) = &node.allowed else {
        return Vec::new();
    };
    let id = &node.id;
    let mut told = Vec::new();
    for user in inventory.users.iter().filter(|user| !user.removed) {
        let has_place = node.mode == NodeMode::Managed && user.node_group != Group::Default.name();
        let names = inventory.valid_credentials_of(user).map(|held| &held.common_name);
        for name in names.filter(|name| allowed.contains(*name)) {
            let (group, place) = (&user.node_group, node.places.get(name));
            match place {
                None if !has_place => {}
                Some(place) if has_place && place.group == *group => {}
                Some(_) | None => told.push(format!("{name} of the group {group} is let in on {id} with {place:?}")),
            }
        }
    }
    let (mut addresses, mut blocks) = (BTreeSet::new(), BTreeMap::new());
    for (name, place) in &node.places {
        let Place { address, group } = place;
        if place.block() < FIRST_BLOCK {
            told.push(format!("{name} has an address of everybody on {id}: {address}"));
        }
        if !addresses.insert(address) {
            told.push(format!(
                "{name} has the address {address} on {id}, as somebody else has"
            ));
        }
        let owner = blocks.entry(place.block()).or_insert(group);
        if *owner != group {
            told.push(format!(
                "{address} of the group {group} on {id} is in a block of the group {owner}"
            ));
        }
    }
    told
}
