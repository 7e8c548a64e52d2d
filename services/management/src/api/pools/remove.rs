//! `DELETE /api/pools/{name}`.

use poem_openapi::ApiResponse;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::pools::remove;

#[derive(Debug, ApiResponse)]
pub(crate) enum RemovedPool {
    /// There is no such pool any more.
    #[oai(status = 204)]
    Done,
}

pub(super) async fn remove_pool(app: &App, actor: &Actor, name: &NodeId) -> Result<RemovedPool, ApiError> {
    remove::remove_pool(app, actor, name)
        .await
        .map(|()| RemovedPool::Done)
        .map_err(|error| failure::pools::of_remove_pool(app, error))
}
