//! `POST /api/users/{username}/traffic/forgive`.

use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::quotas::forgive;
use crate::ops::users::read::UserView;

pub(super) async fn forgive_traffic(app: &App, actor: &Actor, username: &Username) -> Result<UserView, ApiError> {
    forgive::forgive_traffic(app, actor, username)
        .await
        .map_err(|error| failure::users::of_forgive_traffic(app, error))
}
