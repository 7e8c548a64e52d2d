//! `DELETE /api/groups/{group}`.

use poem_openapi::ApiResponse;
use vpnmanager_nats::groups::GroupName;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure::groups::of_remove_group;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::groups::remove;

#[derive(Debug, ApiResponse)]
pub(crate) enum RemovedGroup {
    /// There is no such group any more.
    #[oai(status = 204)]
    Done,
}

pub(super) async fn remove_group(app: &App, actor: &Actor, name: &GroupName) -> Result<RemovedGroup, ApiError> {
    remove::remove_group(app, actor, name)
        .await
        .map(|()| RemovedGroup::Done)
        .map_err(|error| of_remove_group(app, error))
}
