//! `/api/endnodes`: the OpenVPN servers of the fleet.

mod change;
mod health;
mod register;
mod reissue;
mod standing;
mod view;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, OpenApi};
use vpnmanager_openapi::contract::enrolment::Registration;
use vpnmanager_openapi::contract::standing::{StandingAnswer, StandingQuestion};
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;

use super::access::{Admin, OptionalRole, Origin, ScopedViewer, Viewer};
use super::failure;
use super::scalars::ServerIdText;
use super::tags::Tag;

use crate::app::App;
use crate::ops::credentials::revoke_node::NodeCredentials;
use crate::ops::nodes::change::NodeChange;
use crate::ops::nodes::{deregister, read};
use change::EndnodeMove;
use health::HealthReport;
use register::Registered;
use reissue::{EndnodeReissue, ReissueAll, ReissueStarted};
use view::Endnode;

pub(super) struct EndnodesApi;

#[derive(Debug, ApiResponse)]
enum Deregistered {
    /// The end-node is no longer part of the fleet.
    #[oai(status = 204)]
    Done,
}

/// What happens to the credentials that an end-node made. Their private keys lie on its disk.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum Credentials {
    /// They stay valid.
    Keep,
    /// They are revoked for ever, their sessions end, and their users get new profiles.
    Revoke,
}

fn of_node(credentials: Option<Credentials>) -> NodeCredentials {
    match credentials {
        None | Some(Credentials::Keep) => NodeCredentials::Keep,
        Some(Credentials::Revoke) => NodeCredentials::Revoke,
    }
}

#[OpenApi(prefix_path = "/api/endnodes", tag = "Tag::Endnodes")]
impl EndnodesApi {
    /// List end-nodes
    ///
    /// They are listed in the order of their enrolment.
    #[oai(path = "/", method = "get", operation_id = "list_endnodes")]
    async fn list(
        &self,
        viewer: ScopedViewer,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<IdCursor>>,
    ) -> Result<PageAnswer<Endnode>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let after = cursor.0.map(|cursor| cursor.position());
        let rows = read::list_nodes(app.0, &viewer.scope, after, limit.fetch())
            .await
            .map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(rows, limit, &uri, |view| view.server.id, Endnode::of))
    }

    /// Register an end-node
    ///
    /// Needs a one-time join token in the body, or an API key. The answer contains everything that the end-node needs
    /// to serve, including the fleet's tls-crypt-v2 key.
    ///
    /// A token without `server_id` and an API key register new end-nodes only. A token that was made for a `server_id` may also give that
    /// end-node other keys or another endpoint; its old key is then revoked. An end-node may repeat its registration with the same token or
    /// key: the bus key, the key of the certificate request, the endpoint and the pool must be the same. A repetition changes nothing.
    ///
    /// The end-node signs the request with its bus key. The signature covers these lines, each with a line feed at its end:
    /// `vpnmanager enrolment`, `server_id`, `bus_public_key`, the SHA-256 of `csr` in lower-case hex, `host`, `port`, `protocol`, `pool`,
    /// `capacity`, the SHA-256 of `join_token` in lower-case hex, and `at`. A line is `-` where the request has no such field; defaults are
    /// signed as their values.
    #[oai(path = "/register", method = "post", operation_id = "register_endnode")]
    async fn register(
        &self,
        caller: OptionalRole,
        app: Data<&App>,
        request: &poem::Request,
        body: Json<Registration>,
    ) -> Result<Registered, ApiError> {
        let origin = Origin::of(request);
        if caller.0.is_none() {
            app.gatekeeper
                .admit_keyless(origin.source())
                .map_err(failure::too_many_keyless)?;
        }
        register::register(app.0, caller.0, &origin, body.0).await
    }

    /// Tell an end-node its standing
    ///
    /// For an agent whose credential the bus refuses: it learns whether its server is still registered. The request needs no API key; the agent
    /// signs it with its bus key. The signature covers four lines, each with a line feed at its end: `vpnmanager standing question`, then
    /// `server_id`, `bus_public_key` and `at`. `at` may differ from management's clock by at most 5 minutes. The answer is signed by the
    /// fleet's CA. The operation changes nothing.
    #[oai(
        path = "/:server_id/standing",
        method = "post",
        operation_id = "tell_endnode_standing"
    )]
    async fn standing(
        &self,
        app: Data<&App>,
        request: &poem::Request,
        /// The server's id.
        server_id: Path<ServerIdText>,
        body: Json<StandingQuestion>,
    ) -> Result<Json<StandingAnswer>, ApiError> {
        let source = Origin::of(request).source();
        app.gatekeeper
            .admit_keyless(source)
            .map_err(failure::too_many_keyless)?;
        standing::tell(app.0, server_id.0.0, body.0).await.map(Json)
    }

    /// Get an end-node
    #[oai(path = "/:server_id", method = "get", operation_id = "get_endnode")]
    async fn get(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
    ) -> Result<Json<Endnode>, ApiError> {
        let found = read::get_node(app.0, &server_id.0.0)
            .await
            .map_err(|error| failure::database(&app, error))?;
        found
            .map(|view| Json(Endnode::of(view)))
            .ok_or_else(failure::nodes::unknown_server)
    }

    /// Report an end-node's health
    ///
    /// Agents report over the bus; this operation is for your own monitoring, with an admin key: a key of the role `node` belongs to no node, so it
    /// must not speak for one. A field that is left out keeps the last reported value, except `detail`, which is cleared.
    #[oai(path = "/:server_id/health", method = "post", operation_id = "report_endnode_health")]
    async fn health(
        &self,
        _admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
        body: Json<HealthReport>,
    ) -> Result<Json<Endnode>, ApiError> {
        health::report(app.0, &server_id.0.0, body.0).await.map(Json)
    }

    /// Drain an end-node
    ///
    /// Moves its clients to the next servers of their profiles: connected clients a few each second, new ones at once. No user is placed on it.
    /// The drain goes on after a restart of the agent. If the end-node is away, the drain starts when it returns. `drain`, here and in later
    /// reads, shows the progress.
    #[oai(path = "/:server_id/drain", method = "post", operation_id = "drain_endnode")]
    async fn drain(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
    ) -> Result<Json<Endnode>, ApiError> {
        change::change(app.0, &admin, &server_id.0.0, NodeChange::Drain)
            .await
            .map(Json)
    }

    /// End the draining of an end-node
    ///
    /// Its clients are no longer moved away. Clients that were moved return by themselves at their next connect.
    #[oai(path = "/:server_id/undrain", method = "post", operation_id = "undrain_endnode")]
    async fn undrain(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
    ) -> Result<Json<Endnode>, ApiError> {
        change::change(app.0, &admin, &server_id.0.0, NodeChange::Undrain)
            .await
            .map(Json)
    }

    /// Disable an end-node
    ///
    /// No new user is placed on it, and new profiles do not name it. It still serves the users that it holds.
    ///
    /// With `credentials=revoke` the credentials that it made are revoked, for example because a backup of it was stolen. Each user that has
    /// another server gets a new profile there; one that has no other gets it from this server.
    #[oai(path = "/:server_id/disable", method = "post", operation_id = "disable_endnode")]
    async fn disable(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
        /// What happens to the credentials that it made. Default: `keep`.
        credentials: Query<Option<Credentials>>,
    ) -> Result<Json<Endnode>, ApiError> {
        change::change(
            app.0,
            &admin,
            &server_id.0.0,
            NodeChange::Disable(of_node(credentials.0)),
        )
        .await
        .map(Json)
    }

    /// Enable an end-node
    ///
    /// New users are placed on it again.
    #[oai(path = "/:server_id/enable", method = "post", operation_id = "enable_endnode")]
    async fn enable(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
    ) -> Result<Json<Endnode>, ApiError> {
        change::change(app.0, &admin, &server_id.0.0, NodeChange::Enable)
            .await
            .map(Json)
    }

    /// Move an end-node to another pool
    ///
    /// Its users stay in the pool that they are in: they leave it for the other servers of that pool, which make new profiles for those whose
    /// home it was. Then it gets users of the new pool. `POOL` in the configuration of its agent should name the same pool: management
    /// degrades a server whose agent names another, and never moves it by itself, because a stolen server could then ask for the users of
    /// others.
    #[oai(path = "/:server_id/move", method = "post", operation_id = "move_endnode")]
    async fn move_to(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
        body: Json<EndnodeMove>,
    ) -> Result<Json<Endnode>, ApiError> {
        change::move_to(app.0, &admin, &server_id.0.0, body.0).await.map(Json)
    }

    /// Deregister an end-node
    ///
    /// Revokes its bus credential at once. The users homed on it get a new home on another server, which issues new profiles for them.
    ///
    /// The profiles that it made stay valid at the other servers, so a planned removal disturbs nobody. Their private keys lie on its disk: if
    /// the server was stolen, `credentials=revoke` revokes them all, cuts their sessions, and gives each user a new profile. That goes on in
    /// the background, 200 credentials at a time; the audit trail has a row for each user, and `node_revocation_completed` at the end. It
    /// may also be asked for later, for a server that was deregistered before.
    #[oai(
        path = "/:server_id/deregister",
        method = "post",
        operation_id = "deregister_endnode"
    )]
    async fn deregister(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
        /// What happens to the credentials that it made. Default: `keep`.
        credentials: Query<Option<Credentials>>,
    ) -> Result<Deregistered, ApiError> {
        let done = deregister::deregister_node(app.0, &admin, &server_id.0.0, of_node(credentials.0)).await;
        done.map(|()| Deregistered::Done)
            .map_err(|error| failure::nodes::of_deregister_node(&app, error))
    }

    /// Make new profiles for all users of an end-node
    ///
    /// For an end-node whose disk was lost with the keys of its users, or that others have. It does for all users who have a profile that the
    /// end-node made what `POST /api/users/{username}/devices/{device}/reissue` does: each such device gets a new one from the user's home
    /// server, and with `old_profiles: revoke` all older ones of the device are revoked, their sessions end, and so do the links to it. A user who
    /// has got another home since, with a new profile there, goes on with that one: nothing more is made, and `revoke` revokes what is
    /// older than it. The end-node may be lost, disabled, or deregistered.
    ///
    /// It goes on in the background, 100 users at a time; GET of this path shows how far it is. POST while it goes on answers with that one, and
    /// 409 if `old_profiles` or `made_before` is another. Sent again after it has ended, it begins anew. The audit trail has `node_reissue_started`, a row
    /// `user_reissued` for each user who needed something, and `node_reissue_completed`.
    #[oai(
        path = "/:server_id/reissue",
        method = "post",
        operation_id = "reissue_endnode_users"
    )]
    async fn start_reissue(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
        body: Json<ReissueAll>,
    ) -> Result<ReissueStarted, ApiError> {
        reissue::start(app.0, &admin, &server_id.0.0, &body.0).await
    }

    /// Get the progress of new profiles for all users of an end-node
    ///
    /// Of those that are being made, or else of those that were asked for last. 404 if nobody ever asked.
    #[oai(
        path = "/:server_id/reissue",
        method = "get",
        operation_id = "get_endnode_users_reissue"
    )]
    async fn get_reissue(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
    ) -> Result<Json<EndnodeReissue>, ApiError> {
        reissue::get(app.0, &server_id.0.0).await.map(Json)
    }

    /// Stop making new profiles for all users of an end-node
    ///
    /// Users who did not have their turn yet keep what they have; what was done stays. One that has ended already stays as it is.
    #[oai(
        path = "/:server_id/reissue",
        method = "delete",
        operation_id = "stop_endnode_users_reissue"
    )]
    async fn stop_reissue(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
    ) -> Result<Json<EndnodeReissue>, ApiError> {
        reissue::stop(app.0, &admin, &server_id.0.0).await.map(Json)
    }
}
