//! Checks that everything that the API answered is true.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use chrono::Utc;
use sea_orm::DatabaseConnection;
use serde_json::Value;
use vpnmanager_testbed::{
    api::Api,
    stack::{Part, Stack},
    wait,
};

use super::{
    inventory::{self, Inventory},
    issued::issued_twice,
    model::{Being, Living, Person},
    node_view::NodeView,
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
    told.extend(issued_twice(people, &inventory, &nodes, &trail));
    told.extend(unaccounted(people, &inventory, &trail));
    told.extend(profiles_missing(stack, &inventory, lost_keys).await);
    told.extend(panics(stack));
    Ok(told)
}

async fn list_users(api: &Api) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut listed = BTreeMap::new();
    let mut query = "?limit=1000".to_owned();
    loop {
        let page = api.users(&query).await?.expect(200)?;
        for user in page.items() {
            listed.insert(user["username"].as_str().unwrap_or_default().to_owned(), user.clone());
        }
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            return Ok(listed);
        };
        query = format!("?limit=1000&cursor={cursor}");
    }
}

pub(super) fn answers_not_reflected(people: &[Person], listed: &BTreeMap<String, Value>) -> Vec<String> {
    let mut told = Vec::new();
    for person in people {
        let is = match listed.get(&person.username) {
            None => Being::Absent,
            Some(user) => match Living::shown(user) {
                Some(living) => Being::Living(living),
                None => {
                    told.push(format!("{} is listed without what a user has: {user}", person.username));
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

/// Living users whose profile cannot be fetched, or differs from the recorded one.
async fn profiles_missing(stack: &Stack, inventory: &Inventory, lost_keys: &BTreeSet<String>) -> Vec<String> {
    let api = stack.api();
    let mut told = Vec::new();
    for user in inventory.users.iter().filter(|user| !user.removed) {
        let path = format!("/api/users/{}/profile", user.username);
        // An agent that has just connected again hears requests a moment later: 503 says to try again.
        let heard = async || !matches!(api.get(&path).await, Ok(answer) if answer.status == 503);
        // One that stays away is told below.
        _ = wait::until(HEARD_WITHIN, "the home to be reached", heard).await;
        let answer = match api.get(&path).await {
            Ok(answer) => answer,
            Err(error) => {
                told.push(format!("the profile of {} cannot be read: {error}", user.username));
                continue;
            }
        };
        let lost = answer.status == 409 && answer.text.contains("does not hold the profile");
        if lost && lost_keys.contains(&user.server_id) {
            continue;
        }
        let certificates: Vec<&str> = inventory
            .valid_credentials_of(user)
            .filter_map(|credential| credential.certificate.as_deref())
            .collect();
        if answer.status != 200 {
            told.push(format!(
                "the profile of {} was answered {}: {}",
                user.username, answer.status, answer.text
            ));
        } else if !certificates
            .iter()
            .any(|certificate| answer.text.contains(certificate.trim()))
        {
            told.push(format!(
                "the profile of {} has another certificate than the one recorded (expires {:?}, asked {})",
                user.username,
                user.expires_at,
                Utc::now()
            ));
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
