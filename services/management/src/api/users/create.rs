//! `POST /api/users`.

use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;
use vpnmanager_openapi::problem::ApiError;

use super::schema::{NewUserBody, User};
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::users::create_user;
use crate::ops::users::read::UserView;

#[derive(Debug, ApiResponse)]
pub(crate) enum CreatedUser {
    /// The user is recorded and is being sent to its servers: see `synced`.
    #[oai(status = 201)]
    Created(
        Json<User>,
        /// The path of the user.
        #[oai(header = "Location")]
        String,
    ),
}

impl CreatedUser {
    pub(super) fn new(user: User) -> Self {
        let location = user.location();
        Self::Created(Json(user), location)
    }
}

pub(super) async fn create_user(app: &App, actor: &Actor, body: NewUserBody) -> Result<UserView, ApiError> {
    let new = body.into_new_user(actor)?;
    create_user::create_user(app, &new)
        .await
        .map_err(|error| failure::users::of_create_one(app, error))
}
