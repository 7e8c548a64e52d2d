//! `/api/sessions`: who is connected, and who was. The same list, narrowed, stands below `/api/users` and `/api/endnodes`.

mod page;
mod schema;

mod discard;
mod history;
mod traffic;

pub(super) use history::HistoryApi;
pub(super) use traffic::{TrafficApi, days_of};

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, OpenApi};
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::PageLimit;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::access::{ScopedOperator, ScopedViewer, Viewer};
use super::failure;
use super::scalars::{AddressText, ListenerText, ServerIdText, SessionIdText, UsernameText};
use super::tags::Tag;
use crate::app::App;
use crate::ops::nodes::read::get_node;
use crate::ops::sessions::end_session::end_session;
use crate::ops::sessions::list_sessions::SessionFilter;
use crate::ops::users::read::get_user;
use page::{Paging, live_page, past_page};
use schema::Sessions;

#[derive(Debug, ApiResponse)]
enum Ended {
    /// The session has ended.
    #[oai(status = 204)]
    Done,
}

pub(super) struct SessionsApi;

#[OpenApi(prefix_path = "/api", tag = "Tag::Sessions")]
impl SessionsApi {
    /// List sessions
    ///
    /// Who is connected at this moment: the servers are asked, each for at most 3 seconds, and those that do not answer are named in `missing`.
    /// The newest sessions first. A session must match all filters. While clients come and go, a page follows on the one before it: no
    /// session is listed twice, and none that lives all the time is left out.
    ///
    /// With `at`, who was connected at that moment, from the history: no server is asked. With `address` too, it says who had an address at that
    /// time. A session counts from its start on and at its end no more. One that ended while its server's agent was away counts until it was
    /// found gone (`ended_before`), because it may have lived until then. One of a server that has been away since, whose end nobody knows yet,
    /// counts too: `last_seen_at` says since when nothing is known. Servers that management has not heard from since before that time are named
    /// in `missing`: of the sessions that they had then, not all may be known yet. So are servers whose agent watches no OpenVPN. One that is
    /// heard and still has reports to send is not.
    #[oai(path = "/sessions", method = "get", operation_id = "list_sessions")]
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
        /// Only sessions of this user.
        username: Query<Option<UsernameText>>,
        /// Only sessions on this server.
        server_id: Query<Option<ServerIdText>>,
        /// Only sessions whose client has this address inside the tunnel, or connects from it.
        address: Query<Option<AddressText>>,
        /// Only sessions whose client came to this listener of their server, such as `tcp:443`.
        listener: Query<Option<ListenerText>>,
        /// The sessions that were alive at this time.
        at: Query<Option<Timestamp>>,
    ) -> Result<Sessions, ApiError> {
        let filter = SessionFilter {
            username: username.0.map(|name| name.0),
            server_id: server_id.0.map(|id| id.0),
            address: address.0.map(|address| address.0),
            listener: listener.0.map(|listener| listener.0),
            scope: viewer.scope.clone(),
        };
        let paging = Paging::of(limit, cursor, &uri);
        match at.0 {
            Some(at) => past_page(app.0, filter, at.to_utc(), paging).await,
            None => live_page(app.0, &filter, paging).await,
        }
    }

    /// List the sessions of a user
    ///
    /// As `GET /api/sessions`, but only those of the user. A user who is connected with two profiles, or to two servers, has two.
    #[oai(
        path = "/users/:username/sessions",
        method = "get",
        operation_id = "list_user_sessions"
    )]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn of_user(
        &self,
        viewer: Viewer,
        app: Data<&App>,
        uri: RequestUri,
        /// The user's name.
        username: Path<UsernameText>,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<SessionIdText>>,
        /// Only sessions whose client came to this listener of their server.
        listener: Query<Option<ListenerText>>,
    ) -> Result<Sessions, ApiError> {
        let found = get_user(&app.db, &username.0.0).await;
        found
            .map_err(|error| failure::database(&app, error))?
            .ok_or_else(failure::users::unknown_user)?;
        let filter = SessionFilter {
            username: Some(username.0.0),
            listener: listener.0.map(|listener| listener.0),
            scope: viewer.scope.clone(),
            ..SessionFilter::default()
        };
        live_page(app.0, &filter, Paging::of(limit, cursor, &uri)).await
    }

    /// List the sessions on an end-node
    ///
    /// As `GET /api/sessions`, but only those on the server.
    #[oai(
        path = "/endnodes/:server_id/sessions",
        method = "get",
        operation_id = "list_endnode_sessions"
    )]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn of_endnode(
        &self,
        viewer: ScopedViewer,
        app: Data<&App>,
        uri: RequestUri,
        /// The server's id.
        server_id: Path<ServerIdText>,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<SessionIdText>>,
        /// Only sessions whose client came to this listener of their server.
        listener: Query<Option<ListenerText>>,
    ) -> Result<Sessions, ApiError> {
        let found = get_node(app.0, &server_id.0.0).await;
        found
            .map_err(|error| failure::database(&app, error))?
            .ok_or_else(failure::nodes::unknown_server)?;
        let filter = SessionFilter {
            server_id: Some(server_id.0.0),
            listener: listener.0.map(|listener| listener.0),
            scope: viewer.scope.clone(),
            ..SessionFilter::default()
        };
        live_page(app.0, &filter, Paging::of(limit, cursor, &uri)).await
    }

    /// End a session
    ///
    /// The server tells the client to stop, and drops it. The profile stays valid: the user may connect again, and some clients do by
    /// themselves. To keep the user out, suspend or remove the user. 404 if the session has ended.
    #[oai(path = "/sessions/:id", method = "delete", operation_id = "end_session")]
    async fn end(
        &self,
        operator: ScopedOperator,
        app: Data<&App>,
        /// The id of the session, from the list.
        id: Path<SessionIdText>,
    ) -> Result<Ended, ApiError> {
        let ended = end_session(app.0, &operator, &id.0.0).await;
        ended
            .map(|()| Ended::Done)
            .map_err(|error| failure::nodes::of_end_session(&app, error))
    }
}
