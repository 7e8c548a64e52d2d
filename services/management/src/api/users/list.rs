//! `GET /api/users`.

use poem::http::Uri;
use vpnmanager_nats::groups::GroupName;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;

use super::schema::User;
use crate::api::failure;
use crate::app::App;
use crate::domain::scope::Scope;
use crate::ops::users::read::{self, UserFilter};

/// The filters and the page.
pub(super) struct ListParameters {
    pub(super) limit: PageLimit,
    pub(super) cursor: Option<IdCursor>,
    pub(super) server_id: Option<NodeId>,
    pub(super) group: Option<GroupName>,
    pub(super) node_group: Option<GroupName>,
    pub(super) active: Option<bool>,
    pub(super) over_quota: Option<bool>,
    pub(super) synced: Option<bool>,
    pub(super) username_prefix: Option<String>,
    pub(super) scope: Scope,
}

/// The cursor is the row id; ids grow in the order of creation.
pub(super) async fn list_users(app: &App, parameters: ListParameters, uri: &Uri) -> Result<PageAnswer<User>, ApiError> {
    let ListParameters {
        limit,
        cursor,
        server_id,
        group,
        node_group,
        active,
        over_quota,
        synced,
        username_prefix,
        scope,
    } = parameters;
    let after = cursor.map(|cursor| cursor.position());
    let filter = UserFilter {
        server_id,
        group,
        node_group,
        active,
        over_quota,
        synced,
        username_prefix,
        scope,
    };
    let rows = read::list_users(&app.db, &filter, after, limit.fetch())
        .await
        .map_err(|error| failure::database(app, error))?;
    Ok(PageAnswer::new(rows, limit, uri, |view| view.user.id, User::of))
}
