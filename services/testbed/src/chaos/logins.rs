//! Tries real logins with the profiles of some users.

use std::{fmt::Write, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use futures_util::future::join_all;
use sea_orm::DatabaseConnection;
use vpnmanager_testbed::{
    client::ClientOptions,
    stack::{Node, NodeMode, Stack, StackError},
    wait,
};

use super::{
    history::tells_of,
    injector::OTHER_PORT,
    inventory::{Credential, Inventory},
    model::Person,
};

/// How many profiles are tried that must be accepted, and how many that must be refused.
const SAMPLE: usize = 5;
const SOON: Duration = Duration::from_secs(40);
/// OpenVPN tells the start of a session in whole seconds.
const WHOLE: TimeDelta = TimeDelta::seconds(1);

/// One attempt.
struct Attempt<'a> {
    username: &'a str,
    profile: &'a str,
    credential: &'a Credential,
    may: bool,
}

/// Tries some of the profiles that were read during the run, at each of their servers. Returns the violations and the number of attempts.
pub(super) async fn wrong_logins(
    stack: &Stack,
    db: &DatabaseConnection,
    people: &[Person],
    rng: &mut Rng,
) -> anyhow::Result<(Vec<String>, usize)> {
    let inventory = Inventory::read(db).await?;
    let (mut may, mut may_not) = (Vec::new(), Vec::new());
    for person in people {
        for profile in person.profiles() {
            // That it is recorded is checked elsewhere.
            let Some(credential) = inventory.credential_in(profile) else {
                continue;
            };
            let attempt = |may| Attempt {
                username: &person.username,
                profile,
                credential,
                may,
            };
            match is_allowed(&inventory, credential) {
                Some(true) => may.push(attempt(true)),
                Some(false) => may_not.push(attempt(false)),
                None => {}
            }
        }
    }
    rng.shuffle(&mut may);
    rng.shuffle(&mut may_not);
    let attempts: Vec<Attempt<'_>> = may
        .into_iter()
        .take(SAMPLE)
        .chain(may_not.into_iter().take(SAMPLE))
        .collect();
    let logins: Vec<_> = attempts
        .iter()
        .flat_map(|attempt| {
            let servers = remotes(attempt.profile).filter(|remote| has_server(stack, remote));
            servers.map(move |remote| try_login(stack, attempt, remote))
        })
        .collect();
    let tried = logins.len();
    let wrong = join_all(logins).await.into_iter().flatten().collect();
    Ok((wrong, tried))
}

/// Whether a profile of this credential must be accepted. `None` if its user expires about now.
fn is_allowed(inventory: &Inventory, credential: &Credential) -> Option<bool> {
    let owner = inventory.users.iter().find(|user| Some(user.id) == credential.user_id);
    let Some(user) = owner.filter(|user| !user.removed && user.active && !credential.revoked) else {
        return Some(false);
    };
    match user.expires_at {
        Some(at) if at <= Utc::now() => Some(false),
        Some(at) if at <= Utc::now() + TimeDelta::minutes(2) => None,
        Some(_) | None => Some(true),
    }
}

async fn try_login(stack: &Stack, attempt: &Attempt<'_>, remote: &str) -> Option<String> {
    match log_in(stack, attempt, remote).await {
        Ok(wrong) => wrong.map(|wrong| format!("{} at `{remote}`: {wrong}", attempt.username)),
        Err(error) => Some(format!(
            "{} at `{remote}`: no attempt could be made: {:#}",
            attempt.username,
            anyhow::Error::new(error)
        )),
    }
}

async fn log_in(stack: &Stack, attempt: &Attempt<'_>, remote: &str) -> Result<Option<String>, StackError> {
    let profile = with_only(attempt.profile, remote);
    let began = Utc::now() - WHOLE;
    let connection = stack.start_client(&profile, &ClientOptions::default()).await?;
    let wrong = if attempt.may {
        match connection.client.connected(SOON).await {
            Ok(_) => untold(stack, attempt, (host(remote), began)).await,
            Err(error) => Some(format!("may log in and cannot: {error}")),
        }
    } else {
        let refused = connection.client.refused(SOON).await;
        let got_in = connection.client.connections() > 0;
        if got_in {
            Some("may not log in any more and can".to_owned())
        } else {
            refused
                .err()
                .map(|error| format!("should be refused in words: {error}"))
        }
    };
    connection.close().await;
    Ok(wrong)
}

/// What is wrong if the history does not tell of the session that lives, with its device.
async fn untold(stack: &Stack, attempt: &Attempt<'_>, (host, began): (&str, DateTime<Utc>)) -> Option<String> {
    let Credential {
        device, common_name, ..
    } = attempt.credential;
    let is_it = |node: &Node<'_>| node.namespace().is_ok_and(|space| space.address.to_string() == host);
    let Some(node) = stack.nodes().find(is_it) else {
        return Some("no node has this address".to_owned());
    };
    let api = stack.api();
    let path = format!(
        "/api/sessions/history?username={}&server_id={}",
        attempt.username,
        node.id()
    );
    let told = async || {
        let page = api.get(&path).await;
        page.is_ok_and(|page| tells_of(page.items(), (device.as_str(), common_name.as_str()), began))
    };
    let waited = wait::until(SOON, "the history to tell of the session", told).await;
    waited
        .err()
        .map(|error| format!("is in with {common_name}, of the device {device}: {error}"))
}

/// Whether an OpenVPN answers there: at a node in the mode `none` there is nothing, nor where a node was when the profile was read and is
/// no more.
fn has_server(stack: &Stack, remote: &str) -> bool {
    if remote.split_whitespace().nth(2) == Some(OTHER_PORT) {
        return false;
    }
    let is_bare = |node: &Node<'_>| {
        let namespace = node.namespace();
        node.mode() == NodeMode::None && namespace.is_ok_and(|space| space.address.to_string() == host(remote))
    };
    !stack.nodes().any(|node| is_bare(&node))
}

/// The host in a line `remote HOST PORT PROTOCOL` of a profile.
pub(super) fn host(remote: &str) -> &str {
    remote.split_whitespace().nth(1).unwrap_or_default()
}

pub(super) fn remotes(profile: &str) -> impl Iterator<Item = &str> {
    profile.lines().filter(|line| line.starts_with("remote "))
}

/// The same profile with only one of its servers.
pub(super) fn with_only(profile: &str, remote: &str) -> String {
    let kept = |line: &&str| !line.starts_with("remote ") || *line == remote;
    profile.lines().filter(kept).fold(String::new(), |mut text, line| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
        text
    })
}
