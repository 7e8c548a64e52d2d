//! `/api/sessions`: who is connected. The same list, narrowed, stands below `/api/users` and `/api/endnodes`.

use chrono::DateTime;
use poem::http::Uri;
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{Cut, PageLimit, Position};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::access::Admin;
use super::failure;
use super::scalars::{ServerIdText, SessionIdText, UsernameText};
use super::tags::Tag;
use crate::app::App;
use crate::ops::nodes::read::get_node;
use crate::ops::sessions::end_session::end_session;
use crate::ops::sessions::list_sessions::{Listed, Missing, SessionFilter, SessionView, list_sessions};
use crate::ops::users::read::get_user;

/// A client that is connected at this moment, as its server says.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct Session {
    /// Names the session in the fleet, for `DELETE /api/sessions/{id}`.
    id: SessionIdText,
    /// The user; absent if the server holds no user with this credential.
    username: Option<String>,
    /// The user's device that the credential is for; absent where `username` is.
    device: Option<String>,
    /// The credential: the common name of the client's certificate.
    common_name: String,
    /// The server.
    server_id: String,
    /// When the session began, by the server's clock.
    since: Timestamp,
    /// Address and port that the client connects from. OpenVPN before 2.7 does not tell the port of an IPv6 client.
    real_address: String,
    /// The IPv4 address of the client inside the tunnel; absent while it has none.
    virtual_address: Option<String>,
    /// The IPv6 address of the client inside the tunnel; absent while it has none.
    virtual_address6: Option<String>,
    /// Bytes that the server received from the client in this session.
    bytes_in: u64,
    /// Bytes that the server sent to the client in this session.
    bytes_out: u64,
    /// The release of OpenVPN that the client says it is. Absent: it did not say, or it logged in before the server's agent started.
    client_version: Option<String>,
    /// The system that the client says it runs on, such as `linux`, `win` or `ios`.
    client_platform: Option<String>,
}

/// A server whose sessions are not in the list.
#[derive(Debug, Clone, Object)]
struct MissingServer {
    /// The server.
    server_id: String,
    /// Why its sessions are not known, such as `it cannot be reached`.
    reason: String,
}

/// One page of the live sessions.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
struct SessionPage {
    /// The sessions, the newest first.
    items: Vec<Session>,
    /// Where the next page begins: pass it as `cursor`. Absent on the last page.
    next_cursor: Option<String>,
    /// The servers whose sessions are not known. While there are any, the list is not whole.
    missing: Vec<MissingServer>,
}

#[derive(Debug, ApiResponse)]
enum Sessions {
    /// A page.
    #[oai(status = 200)]
    Page(
        Json<SessionPage>,
        /// The next page, as `<...>; rel="next"` (RFC 8288).
        #[oai(header = "Link")]
        Option<String>,
    ),
}

#[derive(Debug, ApiResponse)]
enum Ended {
    /// The session has ended.
    #[oai(status = 204)]
    Done,
}

/// Which page of the list.
struct Paging<'a> {
    limit: Option<PageLimit>,
    cursor: Option<SessionIdText>,
    uri: &'a Uri,
}

pub(super) struct SessionsApi;

#[OpenApi(prefix_path = "/api", tag = "Tag::Sessions")]
impl SessionsApi {
    /// List sessions
    ///
    /// Who is connected at this moment: the servers are asked, each for at most 3 seconds, and those that do not answer are named in `missing`.
    /// The newest sessions first. A session must match all filters. While clients come and go, a page follows on the one before it: no
    /// session is listed twice, and none that lives all the time is left out.
    #[oai(path = "/sessions", method = "get", operation_id = "list_sessions")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        _admin: Admin,
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
    ) -> Result<Sessions, ApiError> {
        let filter = SessionFilter {
            username: username.0.map(|name| name.0),
            server_id: server_id.0.map(|id| id.0),
        };
        page(app.0, &filter, Paging::of(limit, cursor, &uri)).await
    }

    /// List the sessions of a user
    ///
    /// As `GET /api/sessions`, but only those of the user. A user who is connected with two profiles, or to two servers, has two.
    #[oai(
        path = "/users/:username/sessions",
        method = "get",
        operation_id = "list_user_sessions"
    )]
    async fn of_user(
        &self,
        _admin: Admin,
        app: Data<&App>,
        uri: RequestUri,
        /// The user's name.
        username: Path<UsernameText>,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<SessionIdText>>,
    ) -> Result<Sessions, ApiError> {
        let found = get_user(&app.db, &username.0.0).await;
        found
            .map_err(|error| failure::database(&app, error))?
            .ok_or_else(failure::unknown_user)?;
        let filter = SessionFilter {
            username: Some(username.0.0),
            server_id: None,
        };
        page(app.0, &filter, Paging::of(limit, cursor, &uri)).await
    }

    /// List the sessions on an end-node
    ///
    /// As `GET /api/sessions`, but only those on the server.
    #[oai(
        path = "/endnodes/:server_id/sessions",
        method = "get",
        operation_id = "list_endnode_sessions"
    )]
    async fn of_endnode(
        &self,
        _admin: Admin,
        app: Data<&App>,
        uri: RequestUri,
        /// The server's id.
        server_id: Path<ServerIdText>,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<SessionIdText>>,
    ) -> Result<Sessions, ApiError> {
        let found = get_node(app.0, &server_id.0.0).await;
        found
            .map_err(|error| failure::database(&app, error))?
            .ok_or_else(failure::unknown_server)?;
        let filter = SessionFilter {
            username: None,
            server_id: Some(server_id.0.0),
        };
        page(app.0, &filter, Paging::of(limit, cursor, &uri)).await
    }

    /// End a session
    ///
    /// The server tells the client to stop, and drops it. The profile stays valid: the user may connect again, and some clients do by
    /// themselves. To keep the user out, suspend or remove the user. 404 if the session has ended.
    #[oai(path = "/sessions/:id", method = "delete", operation_id = "end_session")]
    async fn end(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The id of the session, from the list.
        id: Path<SessionIdText>,
    ) -> Result<Ended, ApiError> {
        let ended = end_session(app.0, &admin, &id.0.0).await;
        ended
            .map(|()| Ended::Done)
            .map_err(|error| failure::of_end_session(&app, error))
    }
}

/// Whatever is the id of a session is a place in the list.
impl Position for SessionIdText {
    fn to_cursor(&self) -> String {
        self.0.to_string()
    }
}

impl<'a> Paging<'a> {
    fn of(limit: Query<Option<PageLimit>>, cursor: Query<Option<SessionIdText>>, uri: &'a RequestUri) -> Self {
        Self {
            limit: limit.0,
            cursor: cursor.0,
            uri,
        }
    }
}

async fn page(app: &App, filter: &SessionFilter, paging: Paging<'_>) -> Result<Sessions, ApiError> {
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

impl Session {
    fn of(view: SessionView) -> Self {
        let SessionView {
            id,
            username,
            device,
            session,
        } = view;
        Self {
            username: username.map(|name| name.to_string()),
            device: device.map(|name| name.to_string()),
            common_name: session.common_name.to_string(),
            server_id: id.node.to_string(),
            since: session.since.into(),
            real_address: session.real_address,
            virtual_address: session.virtual_address,
            virtual_address6: session.virtual_address6,
            bytes_in: session.bytes_in,
            bytes_out: session.bytes_out,
            client_version: session.client_version,
            client_platform: session.client_platform,
            id: SessionIdText(id),
        }
    }
}

impl MissingServer {
    fn of(missing: Missing) -> Self {
        Self {
            server_id: missing.node.to_string(),
            reason: missing.reason,
        }
    }
}

impl Example for SessionPage {
    fn example() -> Self {
        let since = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        let ids = "endnode-1.1795000000.7".parse().map(SessionIdText);
        let session = ids.map(|id| Session {
            id,
            username: Some("alice".to_owned()),
            device: Some("laptop".to_owned()),
            common_name: "alice.0198f2a5".to_owned(),
            server_id: "endnode-1".to_owned(),
            since: since.into(),
            real_address: "192.0.2.55:50123".to_owned(),
            virtual_address: Some("10.8.0.2".to_owned()),
            virtual_address6: None,
            bytes_in: 5_000_000,
            bytes_out: 70_000_000,
            client_version: Some("2.6.14".to_owned()),
            client_platform: Some("linux".to_owned()),
        });
        Self {
            items: session.into_iter().collect(),
            next_cursor: None,
            missing: vec![MissingServer {
                server_id: "endnode-2".to_owned(),
                reason: "it cannot be reached".to_owned(),
            }],
        }
    }
}
