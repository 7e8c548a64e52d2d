//! Reading users from the journal.

use std::collections::BTreeMap;

use chrono::Utc;
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use super::local_user::{LocalUser, UserState};
use crate::{
    api::local::internal,
    groups::Holding,
    journal::{JournalError, Records},
    shared::Shared,
};

/// Users and queued creates after this name, in order.
pub(super) async fn page(shared: &Shared, after: String, most: u64) -> Result<Vec<LocalUser>, ApiError> {
    let holding = shared.holding.clone();
    shared
        .journal
        .read(move |records| merged(records, &holding, &after, most))
        .await
        .map_err(internal)
}

/// One user, or the create that waits for management. Who was deleted here, or never created, is not found by name; the list still shows
/// what became of it.
pub(super) async fn one(shared: &Shared, username: Username) -> Result<LocalUser, ApiError> {
    let name = username.clone();
    let found = find(shared, username).await?;
    let fate = match found {
        Some(user) => match user.state {
            UserState::Deleting => ": the user was deleted here".to_owned(),
            UserState::Refused => format!(": management refused to create it: {}", user.detail.unwrap_or_default()),
            UserState::Applied
            | UserState::Issuing
            | UserState::Suspended
            | UserState::Expired
            | UserState::Unheld
            | UserState::Queued => return Ok(user),
        },
        None => String::new(),
    };
    let name = name.as_str();
    Err(ApiError::not_found(format!("this node holds no user {name:?}{fate}")))
}

pub(super) async fn find(shared: &Shared, username: Username) -> Result<Option<LocalUser>, ApiError> {
    let holding = shared.holding.clone();
    let found = shared.journal.read(move |records| {
        let held = records
            .user_by_name(&username)?
            .and_then(|held| LocalUser::of_held(held, &holding, Utc::now()));
        let request = requests(records)?.remove(username.as_str());
        Ok(match held {
            Some(user) if user.state == UserState::Deleting && request.is_some() => request,
            Some(user) => Some(user.with_request(request.as_ref())),
            None => request,
        })
    });
    found.await.map_err(internal)
}

fn merged(records: &Records<'_>, holding: &Holding, after: &str, most: u64) -> Result<Vec<LocalUser>, JournalError> {
    let now = Utc::now();
    let mut requests = requests(records)?;
    let held = records.users_after(after, most)?.into_iter();
    let mut users: Vec<LocalUser> = held
        .filter_map(|held| LocalUser::of_held(held, holding, now))
        .map(|user| {
            let request = requests.get(&user.username);
            user.with_request(request)
        })
        .collect();
    requests.retain(|username, _| username.as_str() > after && users.iter().all(|user| user.username != *username));
    users.extend(requests.into_values());
    users.sort_by(|left, right| left.username.cmp(&right.username));
    users.dedup_by(|left, right| left.username == right.username);
    users.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok(users)
}

/// The newest create of each name that waits or was refused.
fn requests(records: &Records<'_>) -> Result<BTreeMap<String, LocalUser>, JournalError> {
    let creates = records.intents()?.into_iter().filter_map(LocalUser::of_intent);
    Ok(creates.map(|user| (user.username.clone(), user)).collect())
}
