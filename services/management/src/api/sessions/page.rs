//! Pages of sessions.

use chrono::{DateTime, Utc};
use poem::http::Uri;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{Cut, PageLimit, Position};
use vpnmanager_openapi::problem::ApiError;

use super::schema::{MissingServer, Session, SessionPage, Sessions};
use crate::api::failure;
use crate::api::scalars::SessionIdText;
use crate::app::App;
use crate::domain::session_history::id_of;
use crate::ops::sessions::list_sessions::{Listed, SessionFilter, list_sessions};
use crate::ops::sessions::read_history::{Alive, HistoryFilter, read_history};
use crate::ops::sessions::unheard::unheard;

/// Which page of the list.
pub(super) struct Paging<'a> {
    limit: Option<PageLimit>,
    cursor: Option<SessionIdText>,
    uri: &'a Uri,
}

/// Whatever is the id of a session is a place in the list.
impl Position for SessionIdText {
    fn to_cursor(&self) -> String {
        self.0.to_string()
    }
}

impl<'a> Paging<'a> {
    pub(super) fn of(
        limit: Query<Option<PageLimit>>,
        cursor: Query<Option<SessionIdText>>,
        uri: &'a RequestUri,
    ) -> Self {
        Self {
            limit: limit.0,
            cursor: cursor.0,
            uri,
        }
    }
}

/// A page of live sessions, as the nodes tell them.
pub(super) async fn live_page(app: &App, filter: &SessionFilter, paging: Paging<'_>) -> Result<Sessions, ApiError> {
    let limit = paging.limit.unwrap_or_default();
    let after = paging.cursor.map(|cursor| cursor.0);
    let listed = list_sessions(app, filter, after.as_ref(), limit.fetch()).await;
    let Listed { sessions, missing } = listed.map_err(|error| failure::database(app, error))?;
    let cut = Cut::new(sessions, limit, paging.uri, |last| SessionIdText(last.id.clone()));
    let page = SessionPage {
        items: cut.rows.into_iter().map(Session::of).collect(),
        next_cursor: cut.next_cursor,
        missing: missing.into_iter().map(MissingServer::of).collect(),
    };
    Ok(Sessions::Page(Json(page), cut.link))
}

/// A page of the sessions that were alive at a moment, from the history. It names the servers that may have had more of them.
pub(super) async fn past_page(
    app: &App,
    filter: SessionFilter,
    at: DateTime<Utc>,
    paging: Paging<'_>,
) -> Result<Sessions, ApiError> {
    let missing = unheard(app, filter.server_id.as_ref(), &filter.scope, at).await;
    let missing = missing.map_err(|error| failure::database(app, error))?;
    let filter = HistoryFilter {
        username: filter.username,
        server_id: filter.server_id,
        address: filter.address,
        listener: filter.listener,
        alive: Alive::At(at),
        scope: filter.scope,
    };
    let limit = paging.limit.unwrap_or_default();
    let after = paging.cursor.map(|cursor| cursor.0);
    let rows = read_history(&app.db, &filter, after.as_ref(), limit.fetch()).await;
    let rows = rows.map_err(|error| failure::database(app, error))?;
    let cut = Cut::new(rows, limit, paging.uri, |last| SessionIdText(id_of(last)));
    let page = SessionPage {
        items: cut.rows.into_iter().map(Session::of_row).collect(),
        next_cursor: cut.next_cursor,
        missing: missing.into_iter().map(MissingServer::of).collect(),
    };
    Ok(Sessions::Page(Json(page), cut.link))
}
