//! `PATCH /api/groups/{group}`.

use vpnmanager_nats::groups::GroupName;
use vpnmanager_openapi::problem::ApiError;

use super::schema::{Group, GroupChanges};
use crate::api::failure::groups::of_change_group;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::groups::change;

pub(super) async fn change_group(
    app: &App,
    actor: &Actor,
    name: &GroupName,
    body: GroupChanges,
) -> Result<Group, ApiError> {
    change::change_group(app, actor, name, body.into_change()?)
        .await
        .map(Group::of)
        .map_err(|error| of_change_group(app, error))
}
