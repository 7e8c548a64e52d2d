//! `DELETE /api/users/{username}/devices/{device}`.

use vpnmanager_nats::device::DeviceName;
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::devices::revoke;
use crate::ops::users::read::UserView;

pub(super) async fn remove_device(
    app: &App,
    actor: &Actor,
    username: &Username,
    device: &DeviceName,
) -> Result<UserView, ApiError> {
    revoke::revoke_device(app, actor, username, device)
        .await
        .map_err(|error| failure::users::of_device(app, error))
}
