//! `DELETE /api/users/{username}`.

use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::users::read::UserView;
use crate::ops::users::remove;

pub(super) async fn remove_user(app: &App, actor: &Actor, username: &Username) -> Result<UserView, ApiError> {
    remove::remove_user(app, actor, username)
        .await
        .map_err(|error| failure::users::of_living_user(app, error))
}
