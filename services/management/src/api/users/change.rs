//! `PATCH /api/users/{username}`.

use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::create::in_the_future;
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::users::change::{self, UserChange};
use crate::ops::users::read::UserView;

/// What to change; what is not given stays.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct UserChanges {
    /// `false` suspends the user, `true` resumes.
    active: Option<bool>,
    /// Another end of access, in the future; `null` removes the end.
    expires_at: MaybeUndefined<Timestamp>,
}

pub(super) async fn change_user(
    app: &App,
    actor: &Actor,
    username: &Username,
    body: UserChanges,
) -> Result<UserView, ApiError> {
    let expires_at = match body.expires_at {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(end) => Some(Some(in_the_future(end)?)),
    };
    let change = UserChange {
        active: body.active,
        expires_at,
    };
    change::change_user(app, actor, username, change)
        .await
        .map_err(failure::of_living_user)
}

impl Example for UserChanges {
    fn example() -> Self {
        Self {
            active: Some(false),
            expires_at: MaybeUndefined::Undefined,
        }
    }
}
