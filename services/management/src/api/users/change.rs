//! `PATCH /api/users/{username}`.

use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use super::schema::UserChanges;
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::users::change;
use crate::ops::users::read::UserView;

pub(super) async fn change_user(
    app: &App,
    actor: &Actor,
    username: &Username,
    body: UserChanges,
) -> Result<UserView, ApiError> {
    change::change_user(app, actor, username, body.into_change()?)
        .await
        .map_err(|error| failure::users::of_change_user(app, error))
}
