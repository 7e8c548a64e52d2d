//! `/api/sessions/history`: who was connected, when, from where and with how much traffic.

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use vpnmanager_entities::session;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::schema::Session;
use crate::api::access::ScopedViewer;
use crate::api::failure;
use crate::api::scalars::{AddressText, ListenerText, ServerIdText, SessionIdText, UsernameText};
use crate::api::tags::Tag;
use crate::app::App;
use crate::domain::session_history::id_of;
use crate::ops::sessions::read_history::{Alive, HistoryFilter, read_history};

pub(in crate::api) struct HistoryApi;

#[OpenApi(prefix_path = "/api/sessions/history", tag = "Tag::Sessions")]
impl HistoryApi {
    /// List the history of sessions
    ///
    /// Who was connected, and is, as the servers report it: a session is there some seconds after it began, and its bytes are those of the last
    /// five minutes while it lives. The newest sessions first. Only those that match all given filters are listed. `from` and `until` choose
    /// those that were alive at any time between them, or may have been: one that ended unseen counts until `ended_before`. A session is kept for
    /// `SESSION_HISTORY` after management last heard of it, and as long as its end is not known.
    #[oai(path = "/", method = "get", operation_id = "list_session_history")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        viewer: ScopedViewer,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<SessionIdText>>,
        /// Only sessions of users of this name, also of one that was removed.
        username: Query<Option<UsernameText>>,
        /// Only sessions on this server.
        server_id: Query<Option<ServerIdText>>,
        /// Only sessions whose client had this address inside the tunnel, or connected from it. Of the addresses that a client connected from, the
        /// newest counts.
        address: Query<Option<AddressText>>,
        /// Only sessions whose client came to this listener of their server.
        listener: Query<Option<ListenerText>>,
        /// Only sessions that were, or may have been, alive at or after this time.
        from: Query<Option<Timestamp>>,
        /// Only sessions that began before this time.
        until: Query<Option<Timestamp>>,
    ) -> Result<PageAnswer<Session>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let after = cursor.0.map(|cursor| cursor.0);
        let filter = HistoryFilter {
            username: username.0.map(|name| name.0),
            server_id: server_id.0.map(|id| id.0),
            address: address.0.map(|address| address.0),
            listener: listener.0.map(|listener| listener.0),
            alive: Alive::Between(from.0.map(Timestamp::to_utc), until.0.map(Timestamp::to_utc)),
            scope: viewer.scope.clone(),
        };
        let rows = read_history(&app.db, &filter, after.as_ref(), limit.fetch()).await;
        let rows = rows.map_err(|error| failure::database(&app, error))?;
        let place = |row: &session::Model| SessionIdText(id_of(row));
        Ok(PageAnswer::new(rows, limit, &uri, place, Session::of_row))
    }
}
