//! `/api/pools`: groups of servers, what their users reach through the tunnel, and how many servers each user gets.

mod change;
mod create;
mod network;
mod remove;
mod schema;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use vpnmanager_openapi::contract::scalars::PoolText;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{NameCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;

use super::access::Admin;
use super::failure;
use super::tags::Tag;
use crate::app::App;
use crate::ops::pools::read;
use create::CreatedPool;
use remove::RemovedPool;
use schema::{NewPoolBody, Pool, PoolChanges};

pub(super) struct PoolsApi;

#[OpenApi(prefix_path = "/api/pools", tag = "Tag::Pools")]
impl PoolsApi {
    /// List pools
    ///
    /// In the order of their names.
    #[oai(path = "/", method = "get", operation_id = "list_pools")]
    async fn list(
        &self,
        _admin: Admin,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<NameCursor>>,
    ) -> Result<PageAnswer<Pool>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let after = cursor.0.map(|cursor| cursor.position());
        let rows = read::list_pools(&app.db, after, limit.fetch())
            .await
            .map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(
            rows,
            limit,
            &uri,
            |view| view.pool.name.to_string(),
            Pool::of,
        ))
    }

    /// Create a pool
    ///
    /// A pool without servers. Servers get into it when they are registered with its name or moved there; such a registration or move makes a
    /// pool that there is not, with no `network`.
    #[oai(path = "/", method = "post", operation_id = "create_pool")]
    async fn create(&self, admin: Admin, app: Data<&App>, body: Json<NewPoolBody>) -> Result<CreatedPool, ApiError> {
        create::create_pool(app.0, &admin, body.0).await.map(CreatedPool::new)
    }

    /// Get a pool
    #[oai(path = "/:name", method = "get", operation_id = "get_pool")]
    async fn get(
        &self,
        _admin: Admin,
        app: Data<&App>,
        /// The pool's name.
        name: Path<PoolText>,
    ) -> Result<Json<Pool>, ApiError> {
        let found = read::get_pool(&app.db, &name.0.0)
            .await
            .map_err(|error| failure::database(&app, error))?;
        found
            .map(|view| Json(Pool::of(view)))
            .ok_or_else(failure::pools::unknown_pool)
    }

    /// Change a pool
    ///
    /// Fields that are left out keep their value; `network` is replaced as a whole. The servers of the pool are told at once and apply it
    /// without a restart of OpenVPN; users get it when they connect the next time. `network` of an end-node shows what it has applied.
    ///
    /// A lower number of `replicas` takes nobody off a server.
    #[oai(path = "/:name", method = "patch", operation_id = "change_pool")]
    async fn change(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The pool's name.
        name: Path<PoolText>,
        body: Json<PoolChanges>,
    ) -> Result<Json<Pool>, ApiError> {
        change::change_pool(app.0, &admin, &name.0.0, body.0).await.map(Json)
    }

    /// Delete a pool
    ///
    /// One without servers and users; the pool `default` stays.
    #[oai(path = "/:name", method = "delete", operation_id = "delete_pool")]
    async fn remove(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The pool's name.
        name: Path<PoolText>,
    ) -> Result<RemovedPool, ApiError> {
        remove::remove_pool(app.0, &admin, &name.0.0).await
    }
}
