//! `/api/pools`: groups of servers, what their users reach through the tunnel, and how many servers each user gets.

mod change;
mod create;
mod directives;
mod network;
mod remove;
mod rollout;
mod schema;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use vpnmanager_openapi::contract::scalars::PoolText;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{NameCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;

use super::access::{Admin, ScopedViewer, Viewer};
use super::failure;
use super::tags::Tag;
use crate::app::App;
use crate::ops::pools::read;
use create::CreatedPool;
use remove::RemovedPool;
use rollout::{NewRollout, Rollout, RolloutStarted};
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
        viewer: ScopedViewer,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<NameCursor>>,
    ) -> Result<PageAnswer<Pool>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let after = cursor.0.map(|cursor| cursor.position());
        let rows = read::list_pools(&app.db, &viewer.scope, after, limit.fetch())
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
        _viewer: Viewer,
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
    /// Fields that are left out keep their value; `network` and `client_directives` are replaced as a whole. The servers of the pool are told
    /// of `network` at once and apply it without a restart of OpenVPN; users get it when they connect the next time. `network` of an end-node
    /// shows what it has applied. `mtu` of `network` is in profiles that are fetched from now on, too: clients take it with one of these.
    /// `client_directives` are in profiles that are fetched from now on; the servers are told nothing of them, and a change of nothing else leaves
    /// `revision` as it is.
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

    /// Restart OpenVPN on all servers of a pool
    ///
    /// One server after another, in the order of their names, so that users notice no more than a drain: its clients are moved to the other servers
    /// of the pool, then its OpenVPN is restarted, and when it serves again its clients may come back and the next server has its turn. No setting
    /// of a pool needs this; it is for a new release of OpenVPN or of its libraries.
    ///
    /// A server that is disabled, drained by an operator, silent or deregistered is skipped, and so is one whose agent says that it would not restart
    /// OpenVPN: it is asked before anybody is moved. No server is taken out while it or another one of the pool is degraded or silent: after ten
    /// minutes of that the rollout fails. When another one is lost meanwhile, a server that is being drained is undrained, and waits again. The
    /// rollout fails too when a server does not serve again within two minutes of its restart, and a minute more for each further listener; that one
    /// stays drained. One that you drain yourself meanwhile is restarted and stays drained.
    ///
    /// It goes on in the background; GET of this path shows how far it is. 409 while one goes on, while a server is still drained because it failed in
    /// the last one, if no server of the pool serves, and with `drain` if only one server of the pool could take clients. The audit trail has `rollout_started`, the drain, restart and undrain of each server, and
    /// `rollout_ended`.
    #[oai(path = "/:name/rollout", method = "post", operation_id = "start_pool_rollout")]
    async fn start_rollout(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The pool's name.
        name: Path<PoolText>,
        body: Json<NewRollout>,
    ) -> Result<RolloutStarted, ApiError> {
        rollout::start(app.0, &admin, &name.0.0, &body.0).await
    }

    /// Get the progress of a restart of OpenVPN on all servers of a pool
    ///
    /// Of the one that goes on, or else of the last one. 404 if nobody ever asked for one.
    #[oai(path = "/:name/rollout", method = "get", operation_id = "get_pool_rollout")]
    async fn get_rollout(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        /// The pool's name.
        name: Path<PoolText>,
    ) -> Result<Json<Rollout>, ApiError> {
        rollout::get(app.0, &name.0.0).await.map(Json)
    }

    /// Stop restarting OpenVPN on the servers of a pool
    ///
    /// No further server is begun. One that is being drained for it is undrained at once; one that restarts is waited for, and then the rollout ends as
    /// `stopped`. 404 if none goes on.
    #[oai(path = "/:name/rollout", method = "delete", operation_id = "stop_pool_rollout")]
    async fn stop_rollout(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The pool's name.
        name: Path<PoolText>,
    ) -> Result<Json<Rollout>, ApiError> {
        rollout::stop(app.0, &admin, &name.0.0).await.map(Json)
    }
}
