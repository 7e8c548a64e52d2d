//! Checks that everything that the API answered is true.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use chrono::Utc;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use vpnmanager_testbed::{
    stack::{Part, Stack},
    wait,
};

use super::{
    being::Being,
    effective::{self, misjudged},
    inventory::{self, Inventory},
    issued::issued_twice,
    listed::{Listed, list_users},
    model::Person,
    node_view::NodeView,
    renewed::left_open,
    told::otherwise_than_told,
    trail::unaccounted,
};

/// How long an agent may take to hear requests once all agree.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// All broken promises: one sentence with the evidence for each.
pub(super) async fn broken(
    stack: &Stack,
    db: &DatabaseConnection,
    people: &[Person],
    lost_keys: &BTreeSet<String>,
) -> anyhow::Result<Vec<String>> {
    let listed = list_users(&stack.api()).await?;
    let inventory = Inventory::read(db).await?;
    let trail = inventory::audit_trail(db).await?;
    let nodes: Vec<NodeView> = stack.nodes().map(NodeView::look).collect();
    let mut told = answers_not_reflected(people, &listed);
    told.extend(devices_not_reflected(&listed, &inventory));
    told.extend(misjudged(&listed, &effective::groups(db).await?));
    told.extend(otherwise_than_told(people, &inventory, &nodes, Utc::now()));
    told.extend(issued_twice(&inventory, &nodes, &trail));
    told.extend(unaccounted(people, &inventory, &trail));
    told.extend(left_open(&trail));
    told.extend(profiles_missing(stack, &inventory, lost_keys).await);
    told.extend(panics(stack));
    Ok(told)
}

pub(super) fn answers_not_reflected(people: &[Person], listed: &BTreeMap<String, Listed>) -> Vec<String> {
    let mut told = Vec::new();
    for person in people {
        let is = match listed.get(&person.username) {
            None => Being::Absent,
            Some(Listed { user, devices, .. }) => match Being::shown(user, devices) {
                Some(being) => being,
                None => {
                    told.push(format!(
                        "{} is listed without what a user has: {user}, {devices:?}",
                        person.username
                    ));
                    continue;
                }
            },
        };
        if !person.possible().contains(&is) {
            told.push(format!(
                "{} is listed as {is:?}, and by all answers should be one of {:?}",
                person.username,
                person.possible()
            ));
        }
    }
    let known: BTreeSet<&String> = people.iter().map(|person| &person.username).collect();
    let strangers = listed.keys().filter(|name| !known.contains(name));
    told.extend(strangers.map(|name| format!("{name} is listed, and nobody asked for such a user")));
    told
}

/// Devices that are listed otherwise than they are recorded: each with its current credential, the number of valid ones, and whether its profile
/// was made.
pub(super) fn devices_not_reflected(listed: &BTreeMap<String, Listed>, inventory: &Inventory) -> Vec<String> {
    let mut told = Vec::new();
    for user in inventory.users.iter().filter(|user| !user.removed) {
        let Some(Listed { devices, .. }) = listed.get(&user.username) else {
            continue;
        };
        let valid = inventory.devices_of(user);
        let current = inventory.current_of(user).into_iter();
        let should: Vec<Value> = current
            .map(|(device, current)| {
                json!({
                    "name": device,
                    "common_name": current.map(|credential| &credential.common_name),
                    "issued": current.is_some_and(|credential| credential.profile.is_some()),
                    "credentials": valid.get(device).map_or(0, Vec::len),
                })
            })
            .collect();
        let shown = |device: &Value| {
            json!({
                "name": device["name"],
                "common_name": device["common_name"],
                "issued": device["issued"],
                "credentials": device["credentials"],
            })
        };
        let is: Vec<Value> = devices.iter().map(shown).collect();
        if is != should {
            told.push(format!(
                "the devices of {} are listed as {is:?} and should be {should:?}",
                user.username
            ));
        }
    }
    told
}

/// Devices of living users whose profile cannot be fetched, or is another one than the recorded one.
async fn profiles_missing(stack: &Stack, inventory: &Inventory, lost_keys: &BTreeSet<String>) -> Vec<String> {
    let api = stack.api();
    let mut told = Vec::new();
    for user in inventory.users.iter().filter(|user| !user.removed) {
        for (device, current) in inventory.current_of(user) {
            let of = format!("the profile of the device {device} of {}", user.username);
            // An agent that has just connected again hears requests a moment later: 503 says to try again.
            let heard = async || {
                let answer = api.device_profile(&user.username, device).await;
                !matches!(answer, Ok(answer) if answer.status == 503)
            };
            // One that stays away is told below.
            _ = wait::until(HEARD_WITHIN, "the home to be reached", heard).await;
            let answer = match api.device_profile(&user.username, device).await {
                Ok(answer) => answer,
                Err(error) => {
                    told.push(format!("{of} cannot be read: {error}"));
                    continue;
                }
            };
            let lost = answer.status == 409 && answer.text.contains("does not hold the profile");
            if lost && lost_keys.contains(&user.server_id) {
                continue;
            }
            let certificate = current.and_then(|credential| credential.certificate.as_deref());
            if answer.status != 200 {
                told.push(format!("{of} was answered {}: {}", answer.status, answer.text));
            } else if !certificate.is_some_and(|certificate| answer.text.contains(certificate.trim())) {
                told.push(format!(
                    "{of} has another certificate than that of its current credential (expires {:?}, asked {})",
                    user.expires_at,
                    Utc::now()
                ));
            }
        }
    }
    told
}

/// Panics in the logs of services.
fn panics(stack: &Stack) -> Vec<String> {
    let state = stack.state();
    let replicas = state.replicas.iter().map(|replica| Part::Replica(replica.number));
    let nodes = state.nodes.iter().map(|node| Part::Node(node.number));
    let parts = std::iter::once(Part::Management).chain(replicas).chain(nodes);
    parts.flat_map(|part| panics_of(part, state.log(part))).collect()
}

fn panics_of(part: Part, log: PathBuf) -> Vec<String> {
    let text = vpnmanager_testbed::process::Log::at(log).text();
    let lines = text.lines().filter(|line| line.contains("panicked"));
    lines.map(|line| format!("{part} panicked: {line}")).collect()
}
