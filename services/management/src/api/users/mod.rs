//! `/api/users`: who has access.

mod change;
mod create;
mod list;
mod profile;
mod reissue;
mod remove;
mod schema;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use tokio_util::sync::CancellationToken;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{Cursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::wait::Wait;

use super::access::Admin;
use super::failure;
use super::scalars::{ServerIdText, UsernamePrefix, UsernameText};
use super::tags::Tag;
use crate::app::App;
use crate::ops::users::read::{self, UserView};
use create::CreatedUser;
use list::ListParameters;
use profile::ProfileAnswer;
use reissue::Reissue;
use schema::{NewUserBody, User, UserChanges};

/// Cancelled when the process stops: then nobody is kept waiting.
#[derive(Debug, Clone)]
pub(super) struct Stopping(pub(super) CancellationToken);

pub(super) struct UsersApi;

#[OpenApi(prefix_path = "/api/users", tag = "Tag::Users")]
impl UsersApi {
    /// List users
    ///
    /// In the order of their creation. All filters must fit.
    #[oai(path = "/", method = "get", operation_id = "list_users")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        _admin: Admin,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<Cursor>>,
        /// Only users whose home is this server.
        server_id: Query<Option<ServerIdText>>,
        /// Only users that are active, or suspended.
        active: Query<Option<bool>>,
        /// Only users that all their servers hold as they should, or not yet.
        synced: Query<Option<bool>>,
        /// Only users whose name begins so.
        username: Query<Option<UsernamePrefix>>,
    ) -> Result<PageAnswer<User>, ApiError> {
        let parameters = ListParameters {
            limit: limit.0.unwrap_or_default(),
            cursor: cursor.0,
            server_id: server_id.0.map(|id| id.0),
            active: active.0,
            synced: synced.0,
            username_prefix: username.0.map(UsernamePrefix::into_string),
        };
        list::list_users(app.0, parameters, &uri).await
    }

    /// Create a user
    ///
    /// The user's home server makes key, certificate and profile; standbys let the same profile in. With `wait` the answer comes when
    /// all of them hold the user, or when the time is over with the truth so far: see `synced` and `nodes`.
    #[oai(path = "/", method = "post", operation_id = "create_user")]
    async fn create(
        &self,
        admin: Admin,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// How long to wait for the servers, 0s to 60s.
        wait: Query<Option<Wait>>,
        body: Json<NewUserBody>,
    ) -> Result<CreatedUser, ApiError> {
        let view = create::create_user(app.0, &admin, body.0).await?;
        settled(app.0, stopping.0, view, wait.0).await.map(CreatedUser::new)
    }

    /// Get a user
    #[oai(path = "/:username", method = "get", operation_id = "get_user")]
    async fn get(
        &self,
        _admin: Admin,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
    ) -> Result<Json<User>, ApiError> {
        let found = read::get_user(&app.db, &username.0.0)
            .await
            .map_err(failure::database)?;
        found.map(|view| Json(User::of(view))).ok_or_else(failure::unknown_user)
    }

    /// Change a user
    ///
    /// What is not given stays. `active: false` cuts the user's sessions and keeps everything else; `true` lets the same profile in again.
    #[oai(path = "/:username", method = "patch", operation_id = "change_user")]
    async fn change(
        &self,
        admin: Admin,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// How long to wait for the servers, 0s to 60s.
        wait: Query<Option<Wait>>,
        body: Json<UserChanges>,
    ) -> Result<Json<User>, ApiError> {
        let view = change::change_user(app.0, &admin, &username.0.0, body.0).await?;
        settled(app.0, stopping.0, view, wait.0).await.map(Json)
    }

    /// Remove a user
    ///
    /// Revokes the profile for ever: a user created again with this name gets another one. Answers the user's last state; `nodes` tells
    /// which servers have not forgotten the user yet.
    #[oai(path = "/:username", method = "delete", operation_id = "delete_user")]
    async fn remove(
        &self,
        admin: Admin,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// How long to wait for the servers, 0s to 60s.
        wait: Query<Option<Wait>>,
    ) -> Result<Json<User>, ApiError> {
        let view = remove::remove_user(app.0, &admin, &username.0.0).await?;
        settled(app.0, stopping.0, view, wait.0).await.map(Json)
    }

    /// Make a new profile
    ///
    /// For a user whose profile is lost: the home makes another key, certificate and profile. It does so once it is reachable; fetch the
    /// profile when the user is synced. The profiles given out before stay valid, so that nobody is locked out who has not got the new one
    /// yet; with `old_profiles: revoke` they are revoked at once and for ever, and their sessions are cut.
    #[oai(path = "/:username/reissue", method = "post", operation_id = "reissue_user_profile")]
    async fn reissue(
        &self,
        admin: Admin,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// How long to wait for the servers, 0s to 60s.
        wait: Query<Option<Wait>>,
        body: Json<Reissue>,
    ) -> Result<Json<User>, ApiError> {
        let view = reissue::reissue_profile(app.0, &admin, &username.0.0, body.0).await?;
        settled(app.0, stopping.0, view, wait.0).await.map(Json)
    }

    /// Get a user's profile
    ///
    /// The `.ovpn` file, private key included, fetched from the server that keeps it and stored nowhere on its way.
    #[oai(path = "/:username/profile", method = "get", operation_id = "get_user_profile")]
    async fn profile(
        &self,
        _admin: Admin,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
        /// An `ETag` of an earlier answer: 304 when the profile is still the same.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<ProfileAnswer, ApiError> {
        profile::get_profile(app.0, &username.0.0, if_none_match.0.as_deref()).await
    }
}

/// Waits as long as the caller wants, and gives the user as it is then.
async fn settled(app: &App, stopping: &Stopping, view: UserView, wait: Option<Wait>) -> Result<User, ApiError> {
    let Some(wait) = wait else {
        return Ok(User::of(view));
    };
    let waited = tokio::select! {
        waited = app.waiters.until_settled(&app.db, view.clone(), wait.duration()) => waited,
        () = stopping.0.cancelled() => Ok(Some(view.clone())),
    };
    match waited.map_err(failure::database)? {
        Some(view) => Ok(User::of(view)),
        None => Ok(User::gone(view)),
    }
}
