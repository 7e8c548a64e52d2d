//! `POST /api/users`.

use chrono::{DateTime, Utc};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::view::User;
use crate::api::failure;
use crate::api::names::{ServerIdText, UsernameText};
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::users::create::NewUser;
use crate::ops::users::read::UserView;

/// A user to create.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "NewUser")]
pub(crate) struct NewUserBody {
    /// The name: a letter or digit, then letters, digits, `.`, `_`, `@` or `-`. Not the word DEFAULT.
    username: UsernameText,
    /// The end of access, in the future; without it access does not end by itself.
    expires_at: Option<Timestamp>,
    /// The home; chosen by management when not given.
    server_id: Option<ServerIdText>,
}

#[derive(Debug, ApiResponse)]
pub(crate) enum CreatedUser {
    /// Recorded, and on its way to the servers: see `synced`.
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
    let new = NewUser {
        username: body.username.0,
        expires_at: body.expires_at.map(in_the_future).transpose()?,
        server_id: body.server_id.map(|id| id.0),
        actor: actor.clone(),
    };
    app.creates.submit(new).await.map_err(failure::of_create_user)
}

/// An end of access that has passed is a mistake of the caller's, not a wish.
pub(super) fn in_the_future(expires_at: Timestamp) -> Result<DateTime<Utc>, ApiError> {
    let expires_at = expires_at.to_utc();
    if expires_at > Utc::now() {
        Ok(expires_at)
    } else {
        Err(ApiError::invalid("expires_at", "must be in the future"))
    }
}

impl Example for NewUserBody {
    fn example() -> Self {
        // Both are valid; the type has no other way in.
        let (Ok(username), Some(expires_at)) = ("alice".parse(), DateTime::from_timestamp(1_900_000_000, 0)) else {
            unreachable!("the example is valid");
        };
        Self {
            username: UsernameText(username),
            expires_at: Some(expires_at.into()),
            server_id: None,
        }
    }
}
