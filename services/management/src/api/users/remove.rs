//! `DELETE /api/users/{username}`.

use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::read_users::UserView;
use crate::ops::remove_user;

pub(super) async fn remove_user(app: &App, actor: &Actor, username: &Username) -> Result<UserView, ApiError> {
    remove_user::remove_user(app, actor, username)
        .await
        .map_err(failure::of_living_user)
}
