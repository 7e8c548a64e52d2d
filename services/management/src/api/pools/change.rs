//! `PATCH /api/pools/{name}`.

use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::problem::ApiError;

use super::schema::{Pool, PoolChanges};
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::pools::change;

pub(super) async fn change_pool(app: &App, actor: &Actor, name: &NodeId, body: PoolChanges) -> Result<Pool, ApiError> {
    change::change_pool(app, actor, name, body.into_change()?)
        .await
        .map(Pool::of)
        .map_err(|error| failure::pools::of_change_pool(app, error))
}
