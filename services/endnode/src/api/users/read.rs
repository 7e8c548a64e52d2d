//! Reading users from the journal.

use chrono::Utc;
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use super::local_user::LocalUser;
use crate::{
    api::local::{Agent, internal},
    journal::{JournalError, Records},
};

/// Users and queued creates after this name, in order.
pub(super) async fn page(agent: &Agent, after: String, most: u64) -> Result<Vec<LocalUser>, ApiError> {
    agent
        .journal
        .read(move |records| merged(records, &after, most))
        .await
        .map_err(internal)
}

/// One user, or the create that waits for management.
pub(super) async fn one(agent: &Agent, username: Username) -> Result<LocalUser, ApiError> {
    let name = username.clone();
    find(agent, username)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("this node holds no user {name:?}", name = name.as_str())))
}

pub(super) async fn find(agent: &Agent, username: Username) -> Result<Option<LocalUser>, ApiError> {
    let found = agent.journal.read(move |records| {
        let held = records
            .user_by_name(&username)?
            .and_then(|held| LocalUser::of_held(held, Utc::now()));
        match held {
            Some(user) => Ok(Some(user)),
            None => Ok(queued(records)?
                .into_iter()
                .rev()
                .find(|user| user.username == username.as_str())),
        }
    });
    found.await.map_err(internal)
}

fn merged(records: &Records<'_>, after: &str, most: u64) -> Result<Vec<LocalUser>, JournalError> {
    let now = Utc::now();
    let held = records.users_after(after, most)?;
    let mut users: Vec<LocalUser> = held
        .into_iter()
        .filter_map(|held| LocalUser::of_held(held, now))
        .collect();
    for user in queued(records)? {
        let known = users.iter().any(|held| held.username == user.username);
        if !known && user.username.as_str() > after {
            users.push(user);
        }
    }
    users.sort_by(|left, right| left.username.cmp(&right.username));
    users.dedup_by(|left, right| left.username == right.username);
    users.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok(users)
}

fn queued(records: &Records<'_>) -> Result<Vec<LocalUser>, JournalError> {
    Ok(records
        .intents()?
        .into_iter()
        .filter_map(LocalUser::of_intent)
        .collect())
}
