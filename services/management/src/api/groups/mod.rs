//! `/api/groups`: what users may reach through the tunnel, how fast, with how many devices, and for how long.

mod change;
mod create;
mod remove;
mod schema;
mod traffic;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{NameCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;

use super::access::{Admin, ScopedViewer, Viewer, WholeViewer};
use super::failure::{self, groups::unknown_group};
use super::scalars::{DayText, GroupText};
use super::tags::Tag;
use crate::app::App;
use crate::ops::groups::read;
use create::CreatedGroup;
use remove::RemovedGroup;
use schema::{Group, GroupChanges, NewGroupBody};
use traffic::{GroupTraffic, Turn};

/// The operations. All questions for traffic of this process share the turn.
#[derive(Default)]
pub(super) struct GroupsApi {
    turn: Turn,
}

#[OpenApi(prefix_path = "/api/groups", tag = "Tag::Groups")]
impl GroupsApi {
    /// List groups
    ///
    /// In the order of their names, at most 64.
    #[oai(path = "/", method = "get", operation_id = "list_groups")]
    async fn list(
        &self,
        viewer: ScopedViewer,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<NameCursor>>,
    ) -> Result<PageAnswer<Group>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let after = cursor.0.map(|cursor| cursor.position());
        let rows = read::list_groups(&app.db, &viewer.scope, after, limit.fetch())
            .await
            .map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(
            rows,
            limit,
            &uri,
            |view| view.group.name.to_string(),
            Group::of,
        ))
    }

    /// Create a group
    ///
    /// A group without members. Users get into it with `group` when they are created or changed; a user is in one group. What is left out
    /// asks nothing of its members.
    #[oai(path = "/", method = "post", operation_id = "create_group")]
    async fn create(&self, admin: Admin, app: Data<&App>, body: Json<NewGroupBody>) -> Result<CreatedGroup, ApiError> {
        create::create_group(app.0, &admin, body.0).await.map(CreatedGroup::new)
    }

    /// Get a group
    #[oai(path = "/:group", method = "get", operation_id = "get_group")]
    async fn get(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        /// The group's name.
        group: Path<GroupText>,
    ) -> Result<Json<Group>, ApiError> {
        let found = read::get_group(&app.db, &group.0.0)
            .await
            .map_err(|error| failure::database(&app, error))?;
        found.map(|view| Json(Group::of(view))).ok_or_else(unknown_group)
    }

    /// Change a group
    ///
    /// Fields that are left out keep their value; lists and `speed` are replaced as a whole. The servers are told at once: `reach` and `speed`
    /// hold for connected members too, `routes` when they connect the next time. `nodes_applied` counts the servers that have it. Fewer
    /// `devices` take none from anybody; another `pool` or `lifetime` is for users that are created from then on.
    #[oai(path = "/:group", method = "patch", operation_id = "change_group")]
    async fn change(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The group's name.
        group: Path<GroupText>,
        body: Json<GroupChanges>,
    ) -> Result<Json<Group>, ApiError> {
        change::change_group(app.0, &admin, &group.0.0, body.0).await.map(Json)
    }

    /// Traffic of a group
    ///
    /// Bytes and sessions of those who are members now, for each day in UTC and each server, also from before they were members. It is kept as
    /// long as `TRAFFIC_HISTORY` says. An answer has 92 days at most (409). One such request is answered at a time; others get 429, and may come
    /// again after `Retry-After`.
    #[oai(path = "/:group/traffic", method = "get", operation_id = "get_group_traffic")]
    async fn traffic(
        &self,
        _viewer: WholeViewer,
        app: Data<&App>,
        /// The group's name.
        group: Path<GroupText>,
        /// The first day, in UTC, at most 91 days before `until`; 29 days before that when it is left out.
        from: Query<Option<DayText>>,
        /// The last day, in UTC; today when it is left out.
        until: Query<Option<DayText>>,
    ) -> Result<Json<GroupTraffic>, ApiError> {
        traffic::group_traffic(app.0, &self.turn, &group.0.0, from.0, until.0)
            .await
            .map(Json)
    }

    /// Delete a group
    ///
    /// One without users; the group `default` stays.
    #[oai(path = "/:group", method = "delete", operation_id = "delete_group")]
    async fn remove(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The group's name.
        group: Path<GroupText>,
    ) -> Result<RemovedGroup, ApiError> {
        remove::remove_group(app.0, &admin, &group.0.0).await
    }
}
