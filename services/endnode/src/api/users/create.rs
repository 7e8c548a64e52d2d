//! Creating a user: management decides, this node asks for it.

use chrono::Utc;
use poem_openapi::{Object, payload::Json, types::Example};
use vpnmanager_nats::{
    ids::IntentId,
    intents::{Intent, IntentAction, IntentAnswer, IntentRefusal},
};
use vpnmanager_openapi::{problem::ApiError, time::Timestamp};

use super::{
    answers::Created,
    asker::Asker,
    local_user::{LocalUser, UserState},
    read,
};
use crate::{
    api::{
        local::{internal, patience},
        scalars::UsernameText,
        user_options::UserOptions,
    },
    shared::Shared,
};

/// A user to create.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct NewUser {
    /// The name.
    username: UsernameText,
    /// From this moment on the user is refused and cut; must be in the future.
    expires_at: Option<Timestamp>,
}

pub(super) async fn create(shared: &Shared, user: NewUser, asker: Asker) -> Result<Created, ApiError> {
    let now = Utc::now();
    let expires_at = user.expires_at.map(Timestamp::to_utc);
    if expires_at.is_some_and(|end| end <= now) {
        return Err(ApiError::conflict("expires_at", "must be in the future"));
    }
    let username = user.username.to_username()?;
    let intent = Intent {
        id: IntentId::new(),
        node: shared.node.id.clone(),
        requested_at: now,
        source: asker.address,
        local: asker.is_local,
        action: IntentAction::CreateUser {
            username: username.clone(),
            expires_at,
        },
    };
    let answer = shared.waiters.wait_for(intent.id);
    let wanted = username.clone();
    let queued = shared.journal.write(move |records| {
        let taken = records
            .user_by_name(&wanted)?
            .is_some_and(|held| held.removed_by.is_none())
            || records.queued_create(&wanted)?.is_some();
        if !taken {
            records.forget_refused_create(&wanted)?;
            records.queue_intent(&intent, now)?;
        }
        Ok(!taken)
    });
    if !queued.await.map_err(internal)? {
        return Err(ApiError::conflict(
            "username",
            "a user of that name exists or is being created",
        ));
    }
    shared.node.wakes.intents.wake();
    let options = UserOptions::of_create(expires_at);
    match tokio::time::timeout(patience(shared), answer).await {
        Ok(Ok(IntentAnswer::Accepted { user_key, revision })) => {
            let known = read::find(shared, username.clone())
                .await?
                .filter(|user| user.key == Some(user_key.0));
            let accepted = LocalUser {
                key: Some(user_key.0),
                revision: Some(revision.0),
                ..LocalUser::bare(&username, UserState::Issuing, options)
            };
            Ok(Created::Created(Json(known.unwrap_or(accepted))))
        }
        Ok(Ok(IntentAnswer::Refused { reason, detail })) => Err(refused(reason, detail)),
        Ok(Ok(IntentAnswer::Unavailable) | Err(_)) | Err(_) => Ok(Created::Queued(Json(LocalUser::bare(
            &username,
            UserState::Queued,
            options,
        )))),
    }
}

/// The HTTP error for a refusal of management.
pub(super) fn refused(reason: IntentRefusal, detail: String) -> ApiError {
    match reason {
        IntentRefusal::UsernameTaken => ApiError::conflict("username", detail),
        IntentRefusal::UnknownUser => ApiError::not_found(detail),
        IntentRefusal::Expiry => ApiError::conflict("expires_at", detail),
        IntentRefusal::NodeUnavailable => ApiError::conflicting_state(detail),
    }
}

impl Example for NewUser {
    fn example() -> Self {
        Self {
            username: "alice"
                .parse()
                .unwrap_or_else(|_| unreachable!("the example keeps the rule")),
            expires_at: "2027-03-01T12:00:00Z".parse().ok(),
        }
    }
}
