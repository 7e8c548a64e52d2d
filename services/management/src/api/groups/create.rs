//! `POST /api/groups`.

use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;
use vpnmanager_openapi::problem::ApiError;

use super::schema::{Group, NewGroupBody};
use crate::api::failure::groups::of_create_group;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::groups::create;

#[derive(Debug, ApiResponse)]
pub(crate) enum CreatedGroup {
    /// The group is recorded.
    #[oai(status = 201)]
    Created(
        Json<Group>,
        /// The path of the group.
        #[oai(header = "Location")]
        String,
    ),
}

impl CreatedGroup {
    pub(super) fn new(group: Group) -> Self {
        let location = group.location();
        Self::Created(Json(group), location)
    }
}

pub(super) async fn create_group(app: &App, actor: &Actor, body: NewGroupBody) -> Result<Group, ApiError> {
    create::create_group(app, actor, body.into_new_group()?)
        .await
        .map(Group::of)
        .map_err(|error| of_create_group(app, error))
}
