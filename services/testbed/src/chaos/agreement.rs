//! Checks that PostgreSQL, each node's journal and each allow-list agree.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DatabaseConnection;
use vpnmanager_testbed::stack::Stack;

use super::{
    group::Group,
    held,
    inventory::{Inventory, Placement, User},
    networked,
    node_journal::Held,
    node_view::NodeView,
    placed, renewed,
};

/// A user whose expiry is this close to the check may be allowed or not.
const BRINK: TimeDelta = TimeDelta::seconds(2);

/// The default of `PLACEMENT_REPLICAS`.
const REPLICAS: usize = 3;

/// What does not agree: one sentence for each. Empty when the fleet has converged.
pub(super) async fn disagreements(stack: &Stack, db: &DatabaseConnection) -> Vec<String> {
    let inventory = match Inventory::read(db).await {
        Ok(inventory) => inventory,
        Err(error) => return vec![format!("PostgreSQL cannot be read: {error:#}")],
    };
    let nodes: Vec<NodeView> = stack.nodes().map(NodeView::look).collect();
    let mut told = between(&inventory, &nodes, Utc::now());
    told.extend(held::otherwise(stack, db, &nodes).await);
    told.extend(networked::otherwise(stack, db, (&inventory, &nodes)).await);
    told.extend(renewed::otherwise(db, &inventory).await);
    told.extend(fleet_is_unwell(stack).await);
    told
}

/// The disagreements in what was read at the time `now`.
pub(super) fn between(inventory: &Inventory, nodes: &[NodeView], now: DateTime<Utc>) -> Vec<String> {
    let mut told = pending(inventory);
    told.extend(misplaced(inventory));
    for node in nodes {
        told.extend(node_disagrees(inventory, node, now));
        told.extend(placed::otherwise(inventory, node));
    }
    told
}

fn pending(inventory: &Inventory) -> Vec<String> {
    let mut told = Vec::new();
    for placement in &inventory.placements {
        if placement.applied_revision < placement.wanted_revision {
            let user = inventory.users.iter().find(|user| user.id == placement.user_id);
            told.push(format!(
                "{} is pending on {}: wants revision {} (present: {}), published {}, applied {}, outcome {:?}, error {:?}",
                user.map_or("?", |user| &user.username),
                placement.server_id,
                placement.wanted_revision,
                placement.wanted_present,
                placement.published_revision,
                placement.applied_revision,
                placement.outcome,
                placement.error
            ));
        }
    }
    for user in &inventory.users {
        if user.removed {
            told.push(format!("{} is removed and still has a row", user.username));
            continue;
        }
        let lacking = without_profile(user, inventory);
        match (user.synced, lacking) {
            (true, Some(device)) => told.push(format!(
                "{} is synced, and the device {device} has no profile",
                user.username
            )),
            (false, Some(_)) if has_lost_a_profile(user, inventory) => {}
            (false, _) => told.push(format!("{} is not synced", user.username)),
            (true, None) => {}
        }
    }
    told
}

/// A device of the user whose profile is not made.
fn without_profile<'a>(user: &User, inventory: &'a Inventory) -> Option<&'a str> {
    let mut devices = inventory.current_of(user).into_iter();
    let lacking = devices.find(|(_, current)| current.is_none_or(|credential| credential.profile.is_none()));
    lacking.map(|(device, _)| device)
}

/// Whether its home has applied everything and says why it made no profile: its key went with a journal, before anybody had the profile.
fn has_lost_a_profile(user: &User, inventory: &Inventory) -> bool {
    let mut placements = inventory.placements.iter();
    let at_home = placements.find(|placement| placement.user_id == user.id && placement.server_id == user.server_id);
    at_home.is_some_and(|placement| placement.error.is_some())
}

/// Users with too few nodes, outside of the pool of their group, or without exactly one home. No other check would notice a user without any
/// node.
fn misplaced(inventory: &Inventory) -> Vec<String> {
    let mut told = Vec::new();
    for user in inventory.users.iter().filter(|user| !user.removed) {
        let of_user = |placement: &&Placement| placement.user_id == user.id && placement.wanted_present;
        let placements: Vec<&Placement> = inventory.placements.iter().filter(of_user).collect();
        let pool = Group::named(&user.group).map_or("?", Group::pool);
        let in_pool = inventory.servers.iter().filter(|server| server.pool == pool).count();
        if placements.len() < in_pool.min(REPLICAS) {
            told.push(format!("{} stands on {} nodes", user.username, placements.len()));
        }
        for placement in &placements {
            let of_node = inventory.pool_of(&placement.server_id);
            if of_node != Some(pool) {
                told.push(format!(
                    "{} of the group {} stands on {}, which is in the pool {of_node:?} and not in {pool}",
                    user.username, user.group, placement.server_id
                ));
            }
        }
        let homes: Vec<&str> = placements
            .iter()
            .filter(|placement| placement.role == "home")
            .map(|placement| placement.server_id.as_str())
            .collect();
        if homes != [user.server_id.as_str()] {
            told.push(format!(
                "{} is at home on {} and placed so on {homes:?}",
                user.username, user.server_id
            ));
        }
    }
    told
}

fn node_disagrees(inventory: &Inventory, node: &NodeView, now: DateTime<Utc>) -> Vec<String> {
    let id = &node.id;
    let journal = match &node.journal {
        Ok(journal) => journal,
        Err(error) => return vec![format!("the journal of {id} cannot be read: {error}")],
    };
    let mut told = Vec::new();
    let users: BTreeMap<i64, &User> = inventory.users.iter().map(|user| (user.id, user)).collect();
    let mut expected_users = BTreeSet::new();
    let (mut allowed, mut either) = (BTreeSet::new(), BTreeSet::new());
    for placement in &inventory.placements {
        let Some(user) = users.get(&placement.user_id) else {
            continue;
        };
        if placement.server_id != *id || !placement.wanted_present {
            continue;
        }
        expected_users.insert(user.key.clone());
        let names: BTreeSet<String> = inventory
            .valid_credentials_of(user)
            .map(|credential| credential.common_name.clone())
            .collect();
        match journal.users.get(&user.key) {
            Some(held) => told.extend(
                holds_otherwise(user, placement.wanted_revision, &names, held)
                    .into_iter()
                    .map(|what| format!("{id} holds {} otherwise than PostgreSQL: {what}", user.username)),
            ),
            None => told.push(format!("{id} does not hold {} ({})", user.username, user.key)),
        }
        if on_the_brink(user.expires_at, now) {
            either.extend(names);
        } else if user.active && user.expires_at.is_none_or(|at| at > now) {
            allowed.extend(names);
        }
    }
    for (key, held) in &journal.users {
        if !expected_users.contains(key) {
            told.push(format!(
                "{id} holds {} ({key}), whom PostgreSQL does not place there",
                held.username
            ));
        }
    }
    match &node.allowed {
        Ok(files) => {
            let missing = allowed
                .difference(files)
                .map(|name| format!("{name} is missing on the allow-list of {id}"));
            let excess = files.difference(&allowed).filter(|name| !either.contains(*name));
            let excess = excess.map(|name| format!("{name} is on the allow-list of {id} and should not"));
            told.extend(missing.chain(excess));
        }
        Err(error) => told.push(format!("the allow-list of {id} cannot be read: {error}")),
    }
    told
}

/// Whether the time of the user is over about now.
pub(super) fn on_the_brink(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    expires_at.is_some_and(|at| (at - now).abs() < BRINK)
}

fn holds_otherwise(user: &User, revision: i64, names: &BTreeSet<String>, held: &Held) -> Vec<String> {
    let mut told = Vec::new();
    let mut compare = |what: &str, should: String, is: String| {
        if should != is {
            told.push(format!("{what} should be {should} and is {is}"));
        }
    };
    compare("revision", revision.to_string(), held.revision.to_string());
    compare(
        "applied revision",
        revision.to_string(),
        format!("{}", held.applied_revision),
    );
    compare("active", user.active.to_string(), held.active.to_string());
    compare(
        "expiry",
        format!("{:?}", user.expires_at),
        format!("{:?}", held.expires_at),
    );
    compare("credentials", format!("{names:?}"), format!("{:?}", held.credentials));
    compare("locally removed", "false".to_owned(), held.removed_locally.to_string());
    if held.outcome.is_none() {
        told.push("it has no outcome".to_owned());
    }
    told
}

/// Nodes that management does not call healthy and in sync.
async fn fleet_is_unwell(stack: &Stack) -> Vec<String> {
    let nodes = match stack.api().endnodes().await.and_then(|answer| answer.expect(200)) {
        Ok(nodes) => nodes,
        Err(error) => return vec![format!("the nodes cannot be listed: {error}")],
    };
    let mut told = Vec::new();
    for node in nodes.items() {
        let id = &node["server_id"];
        if node["state"] != "healthy" {
            told.push(format!("{id} is {}: {}", node["state"], node["state_reason"]));
        }
        if node["sync"]["digest_match"] == false {
            told.push(format!("the digest of {id} does not match: {}", node["sync"]));
        }
        if node["sync"]["pending"] != 0 {
            told.push(format!("{id} has {} pending", node["sync"]["pending"]));
        }
    }
    told
}
