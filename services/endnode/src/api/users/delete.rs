//! Deleting a user: at once on this node, then everywhere.

use chrono::Utc;
use poem_openapi::payload::Json;
use vpnmanager_nats::{
    ids::IntentId,
    intents::{Intent, IntentAction, IntentAnswer, IntentRefusal},
    username::Username,
};
use vpnmanager_openapi::problem::ApiError;

use super::{
    answers::Deleted,
    asker::Asker,
    create::refused,
    local_user::{LocalUser, UserState},
};
use crate::{
    api::local::{internal, patience},
    plan::Held,
    shared::Shared,
};

pub(super) async fn delete(shared: &Shared, username: Username, asker: Asker) -> Result<Deleted, ApiError> {
    let name = username.clone();
    let known = shared
        .journal
        .read(move |records| Ok((records.user_by_name(&name)?, records.queued_create(&name)?.is_some())));
    match known.await.map_err(internal)? {
        // The queued create is the newest user of this name.
        (_, true) => cancel(shared, username).await,
        (Some(held), false) => remove(shared, held, username, asker).await,
        (None, false) => Err(not_held(&username)),
    }
}

async fn remove(shared: &Shared, held: Held, username: Username, asker: Asker) -> Result<Deleted, ApiError> {
    let user_key = held.command.user_key();
    let intent = Intent {
        id: IntentId::new(),
        node: shared.node.id.clone(),
        requested_at: Utc::now(),
        source: asker.address,
        local: asker.is_local,
        action: IntentAction::RemoveUser {
            user_key,
            username: username.clone(),
        },
    };
    let answer = shared.waiters.wait_for(intent.id);
    let removed = shared.applier.remove_locally(user_key, intent).await;
    let user = LocalUser::of_held(held, &shared.holding, Utc::now())
        .map(|user| LocalUser {
            state: UserState::Deleting,
            ..user
        })
        .ok_or_else(|| not_held(&username))?;
    if !removed.map_err(ApiError::internal)? {
        // Deleted here before: management has not answered yet.
        return Ok(Deleted::Queued(Json(user)));
    }
    match tokio::time::timeout(patience(shared), answer).await {
        Ok(Ok(
            IntentAnswer::Accepted { .. }
            | IntentAnswer::Refused {
                reason: IntentRefusal::UnknownUser,
                ..
            },
        )) => Ok(Deleted::Deleted(Json(user))),
        Ok(Ok(IntentAnswer::Refused { reason, detail })) => Err(refused(reason, detail)),
        Ok(Ok(IntentAnswer::Unavailable) | Err(_)) | Err(_) => Ok(Deleted::Queued(Json(user))),
    }
}

/// Cancels a queued create that was never sent to management.
async fn cancel(shared: &Shared, username: Username) -> Result<Deleted, ApiError> {
    let name = username.clone();
    let cancelled = shared.journal.write(move |records| {
        let Some(queued) = records.queued_create(&name)? else {
            return Ok(None);
        };
        let id = queued.intent.id;
        let unsent = records.is_unsent(id)?;
        if unsent {
            records.forget_intent(id)?;
        }
        Ok(Some((queued, unsent)))
    });
    match cancelled.await.map_err(internal)? {
        None => Err(not_held(&username)),
        Some((_, false)) => Err(ApiError::conflicting_state(
            "the create is on its way to management: delete the user once it is known here, or at management",
        )),
        Some((queued, true)) => LocalUser::of_intent(queued)
            .map(|user| Deleted::Deleted(Json(user)))
            .ok_or_else(|| not_held(&username)),
    }
}

fn not_held(username: &Username) -> ApiError {
    ApiError::not_found(format!("this node holds no user {:?}", username.as_str()))
}
