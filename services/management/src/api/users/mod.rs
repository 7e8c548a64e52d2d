//! `/api/users`: who has access.

mod bulk;
mod change;
mod create;
mod forgive;
mod get;
mod list;
mod profile;
mod reissue;
mod remove;
mod schema;
mod traffic;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use vpnmanager_nats::device::DeviceName;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::wait::Wait;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use super::access::{Operator, ScopedOperator, ScopedViewer, Viewer};
use super::scalars::{GroupText, ServerIdText, UsernamePrefix, UsernameText};
use super::tags::Tag;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::users::read::UserView;
pub(super) use bulk::{BulkApi, LARGEST_BATCH, LARGEST_IMPORT};
use create::CreatedUser;
use list::ListParameters;
pub(super) use profile::{ProfileAnswer, get_profile};
pub(super) use reissue::{OldProfiles, Reissue, reissue_profile};
use schema::{NewUserBody, UserChanges};
pub(super) use schema::{User, in_the_future};

static NOT_READ: LogLimit = LogLimit::new("a user was not read after a wait");

/// Cancelled when the process stops, so that waiting requests are answered.
#[derive(Debug, Clone)]
pub(super) struct Stopping(pub(super) CancellationToken);

pub(super) struct UsersApi;

#[OpenApi(prefix_path = "/api/users", tag = "Tag::Users")]
impl UsersApi {
    /// List users
    ///
    /// In the order of creation. A user must match all filters.
    #[oai(path = "/", method = "get", operation_id = "list_users")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        viewer: ScopedViewer,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<IdCursor>>,
        /// Only users whose home is this server.
        server_id: Query<Option<ServerIdText>>,
        /// Only users in this group.
        group: Query<Option<GroupText>>,
        /// Only users with this `node_group`: those whom logs and faults of servers mean by it.
        node_group: Query<Option<GroupText>>,
        /// `true` for users who are not suspended, those who have `expired` or are over a quota among them; `false` for suspended ones.
        active: Query<Option<bool>>,
        /// `true` for users who are over their quota, and have no access for that; `false` for all others.
        over_quota: Query<Option<bool>>,
        /// Filter by sync state: `true` for users whose servers have all applied the newest revision, and whose profiles exist.
        synced: Query<Option<bool>>,
        /// Only users whose name begins with this text.
        username: Query<Option<UsernamePrefix>>,
    ) -> Result<PageAnswer<User>, ApiError> {
        let parameters = ListParameters {
            limit: limit.0.unwrap_or_default(),
            cursor: cursor.0,
            server_id: server_id.0.map(|id| id.0),
            group: group.0.map(|group| group.0),
            node_group: node_group.0.map(|group| group.0),
            active: active.0,
            over_quota: over_quota.0,
            synced: synced.0,
            username_prefix: username.0.map(UsernamePrefix::into_string),
            scope: viewer.scope.clone(),
        };
        list::list_users(app.0, parameters, &uri).await
    }

    /// Create a user
    ///
    /// The home server creates the key, the certificate and the profile; standby servers accept the same profile. With `wait` the answer
    /// comes when all of them have applied the user and the profile exists (`checksum`). When the time is over it comes with the state of
    /// that moment: see `synced` and `nodes`.
    #[oai(path = "/", method = "post", operation_id = "create_user")]
    async fn create(
        &self,
        operator: ScopedOperator,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// How long to wait for the servers, 0s to 60s. Not at all while as many requests wait as are allowed.
        wait: Query<Option<Wait>>,
        body: Json<NewUserBody>,
    ) -> Result<CreatedUser, ApiError> {
        let view = create::create_user(app.0, &operator, body.0).await?;
        let user = settled(app.0, stopping.0, &operator, view, wait.0).await;
        Ok(CreatedUser::new(user))
    }

    /// Get a user
    #[oai(path = "/:username", method = "get", operation_id = "get_user")]
    async fn get(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
    ) -> Result<Json<User>, ApiError> {
        get::get_user(app.0, &username.0.0).await.map(Json)
    }

    /// Change a user
    ///
    /// Fields that are left out keep their value. `active: false` suspends the user and ends the sessions; `active: true` makes the same
    /// profile work again. Another `group` ends the sessions too, and the same profile connects again; so do another `reach`, `routes` and `speed` of
    /// the user. `limits` of the user come before those of its group: fewer `devices` take none from it, fewer `sessions` end those that are more,
    /// and a quota that is used up ends access at once.
    #[oai(path = "/:username", method = "patch", operation_id = "change_user")]
    async fn change(
        &self,
        operator: Operator,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// How long to wait for the servers, 0s to 60s. Not at all while as many requests wait as are allowed.
        wait: Query<Option<Wait>>,
        body: Json<UserChanges>,
    ) -> Result<Json<User>, ApiError> {
        let view = change::change_user(app.0, &operator, &username.0.0, body.0).await?;
        Ok(Json(settled(app.0, stopping.0, &operator, view, wait.0).await))
    }

    /// Remove a user
    ///
    /// Revokes the profiles of all devices of the user for ever; a new user of the same name gets another profile. The answer is the user's last state: `nodes`
    /// shows which servers have not removed the user yet.
    #[oai(path = "/:username", method = "delete", operation_id = "delete_user")]
    async fn remove(
        &self,
        operator: Operator,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// How long to wait for the servers, 0s to 60s. Not at all while as many requests wait as are allowed.
        wait: Query<Option<Wait>>,
    ) -> Result<Json<User>, ApiError> {
        let view = remove::remove_user(app.0, &operator, &username.0.0).await?;
        Ok(Json(settled(app.0, stopping.0, &operator, view, wait.0).await))
    }

    /// Make a new profile
    ///
    /// For a user whose profile is lost: that of the device `default`, which a user without it gets again. The home server creates another key, certificate and profile as soon as it is reachable; fetch
    /// the profile when the user is synced. Older profiles stay valid, so that nobody is locked out before the new one has arrived. With
    /// `old_profiles: revoke` they are revoked at once and for ever, their sessions end, and so do the links to this profile. Other devices go on:
    /// `POST /api/users/{username}/devices/{device}/reissue` is for them.
    #[oai(path = "/:username/reissue", method = "post", operation_id = "reissue_user_profile")]
    async fn reissue(
        &self,
        operator: Operator,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// How long to wait for the servers, 0s to 60s. Not at all while as many requests wait as are allowed.
        wait: Query<Option<Wait>>,
        body: Json<Reissue>,
    ) -> Result<Json<User>, ApiError> {
        let view = reissue_profile(app.0, &operator, &username.0.0, &DeviceName::default(), body.0).await?;
        Ok(Json(settled(app.0, stopping.0, &operator, view, wait.0).await))
    }

    /// Get a user's profile
    ///
    /// The `.ovpn` file of the device `default` with the private key. It is fetched from the server that keeps it, and is stored nowhere else. Each time that it is
    /// handed out is in the audit trail (`user_profile_read`).
    #[oai(path = "/:username/profile", method = "get", operation_id = "get_user_profile")]
    async fn profile(
        &self,
        operator: Operator,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The `ETag` of an earlier answer: 304 if the profile has not changed.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<ProfileAnswer, ApiError> {
        let of_device = (&username.0.0, &DeviceName::default());
        get_profile(app.0, &operator, of_device, if_none_match.0.as_deref()).await
    }

    /// Forgive a user's traffic
    ///
    /// What the user used of its quota so far in this period does not count any more: the whole quota is there again until the next period
    /// begins. A user who is over the quota has access again, with the same profiles, unless suspended or expired too. 409 if neither the user
    /// nor its group has a quota.
    #[oai(
        path = "/:username/traffic/forgive",
        method = "post",
        operation_id = "forgive_user_traffic"
    )]
    async fn forgive(
        &self,
        operator: Operator,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// How long to wait for the servers, 0s to 60s. Not at all while as many requests wait as are allowed.
        wait: Query<Option<Wait>>,
    ) -> Result<Json<User>, ApiError> {
        let view = forgive::forgive_traffic(app.0, &operator, &username.0.0).await?;
        Ok(Json(settled(app.0, stopping.0, &operator, view, wait.0).await))
    }
}

/// Waits as long as the caller asked for, and returns the user in the state of that moment. Without waiting where too many wait: what the
/// caller wanted is done, and must not be refused because of others. Nor must it be called a failure because the state cannot be read any more:
/// whoever is told so sends the request again, with its `Idempotency-Key`, and it would be done twice.
pub(super) async fn settled(app: &App, stopping: &Stopping, admin: &Actor, view: UserView, wait: Option<Wait>) -> User {
    let Some((wait, place)) = wait.and_then(|wait| Some((wait, app.waiters.place(&admin.name)?))) else {
        return User::of(view);
    };
    let waited = tokio::select! {
        waited = app.waiters.until_settled(&place, view.clone(), wait.duration()) => waited,
        () = stopping.0.cancelled() => Ok(Some(view.clone())),
    };
    match waited {
        Ok(Some(view)) => User::of(view),
        Ok(None) => User::gone(view),
        Err(error) => {
            if let Some(times) = NOT_READ.admit() {
                warn!(
                    user.name = %view.user.username,
                    error = %chain(&*error),
                    times,
                    "A user was not read after a wait: the answer has the state from before it"
                );
            }
            User::of(view)
        }
    }
}
