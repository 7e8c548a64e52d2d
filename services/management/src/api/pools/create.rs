//! `POST /api/pools`.

use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;
use vpnmanager_openapi::problem::ApiError;

use super::schema::{NewPoolBody, Pool};
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::pools::create;

#[derive(Debug, ApiResponse)]
pub(crate) enum CreatedPool {
    /// The pool is recorded.
    #[oai(status = 201)]
    Created(
        Json<Pool>,
        /// The path of the pool.
        #[oai(header = "Location")]
        String,
    ),
}

impl CreatedPool {
    pub(super) fn new(pool: Pool) -> Self {
        let location = pool.location();
        Self::Created(Json(pool), location)
    }
}

pub(super) async fn create_pool(app: &App, actor: &Actor, body: NewPoolBody) -> Result<Pool, ApiError> {
    create::create_pool(app, actor, body.into_new_pool()?)
        .await
        .map(Pool::of)
        .map_err(|error| failure::pools::of_create_pool(app, error))
}
