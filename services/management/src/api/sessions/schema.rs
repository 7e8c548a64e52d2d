//! What the API says of sessions, live ones and those of the history.

use chrono::DateTime;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object};
use vpnmanager_entities::session;
use vpnmanager_nats::sessions::EndKind;
use vpnmanager_openapi::time::Timestamp;

use crate::api::scalars::{ListenerText, SessionIdText};
use crate::domain::session_history::id_of;
use crate::ops::sessions::list_sessions::{Missing, SessionView};

/// A client that is connected, or was, as its server says.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct Session {
    /// Names the session in the fleet, for `DELETE /api/sessions/{id}`.
    id: SessionIdText,
    /// The user; absent if the server holds no user with this credential, or, in the history, if the user was gone when management first
    /// heard of the session.
    username: Option<String>,
    /// The device of the user that the credential is for; absent if the credential is not known, or if it is a certificate of an old server.
    device: Option<String>,
    /// The credential: the common name of the client's certificate.
    common_name: String,
    /// The server.
    server_id: String,
    /// When the session began, by the server's clock.
    since: Timestamp,
    /// When it ended, or was last known alive (`end` is `assumed`), by the server's clock. In the history; absent while it lives, or while the
    /// server has not said that it ended.
    ended_at: Option<Timestamp>,
    /// When it was found gone: it ended at some time from `ended_at` on and before this. Only if `end` is `assumed`.
    ended_before: Option<Timestamp>,
    /// How the end is known; in the history.
    end: Option<SessionEnd>,
    /// When the server last saw it alive, or saw that it had ended, by its own clock; in the history.
    last_seen_at: Option<Timestamp>,
    /// Address and port that the client connects from. In the history the newest one: one that a client had before it moved is not kept.
    /// OpenVPN before 2.7 does not tell the port of an IPv6 client.
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
    /// The listener of the server that the client came to, such as `udp:1194`. Absent: the server has not said, because its agent is older than
    /// listeners.
    listener: Option<ListenerText>,
}

/// How the end of a session is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum SessionEnd {
    /// The server's agent saw OpenVPN drop the session. OpenVPN does that some time after a client vanished without a word.
    Seen,
    /// The agent was away, or could not see OpenVPN, while the session ended; or the server has left the fleet, has lost its journal, or is heard
    /// and has told nothing of the session for a day. `ended_at` and the bytes are those of the last time that the session was seen alive, and
    /// `ended_before` says until when it may have lived.
    Assumed,
}

/// A server whose sessions are not in the list.
#[derive(Debug, Clone, Object)]
pub(super) struct MissingServer {
    /// The server.
    server_id: String,
    /// Why its sessions are not known, such as `it cannot be reached`, or, with `at`, `not heard from since 2026-11-29T11:00:00Z`.
    reason: String,
}

/// One page of sessions.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct SessionPage {
    /// The sessions, the newest first.
    pub(super) items: Vec<Session>,
    /// Where the next page begins: pass it as `cursor`. Absent on the last page.
    pub(super) next_cursor: Option<String>,
    /// The servers whose sessions are not known. While there are any, the list may not be whole. With `at`, those that management has not heard
    /// from since before that time, which tell of their sessions when they are back, and those whose agent watches no OpenVPN.
    pub(super) missing: Vec<MissingServer>,
}

#[derive(Debug, ApiResponse)]
pub(super) enum Sessions {
    /// A page.
    #[oai(status = 200)]
    Page(
        Json<SessionPage>,
        /// The next page, as `<...>; rel="next"` (RFC 8288).
        #[oai(header = "Link")]
        Option<String>,
    ),
}

impl From<EndKind> for SessionEnd {
    fn from(kind: EndKind) -> Self {
        match kind {
            EndKind::Seen => Self::Seen,
            EndKind::Assumed => Self::Assumed,
        }
    }
}

impl Session {
    /// A row of the history.
    pub(super) fn of_row(row: session::Model) -> Self {
        Self {
            id: SessionIdText(id_of(&row)),
            username: row.username.map(|name| name.to_string()),
            device: row.device.map(|device| device.to_string()),
            common_name: row.common_name.to_string(),
            server_id: row.server_id.to_string(),
            since: row.since.into(),
            ended_at: row.ended_at.map(Into::into),
            ended_before: match row.end_kind {
                Some(EndKind::Assumed) => row.gone_at.map(Into::into),
                Some(EndKind::Seen) | None => None,
            },
            end: row.end_kind.map(Into::into),
            last_seen_at: Some(row.seen_at.into()),
            real_address: row.real_address,
            virtual_address: row.virtual_address.map(|address| address.ip().to_string()),
            virtual_address6: row.virtual_address6.map(|address| address.ip().to_string()),
            bytes_in: u64::try_from(row.bytes_in).unwrap_or_default(),
            bytes_out: u64::try_from(row.bytes_out).unwrap_or_default(),
            client_version: row.client_version,
            client_platform: row.client_platform,
            listener: row.listener.map(ListenerText),
        }
    }

    /// A live one.
    pub(super) fn of(view: SessionView) -> Self {
        let SessionView {
            id,
            username,
            device,
            session,
        } = view;
        Self {
            username: username.map(|name| name.to_string()),
            device: device.map(|device| device.to_string()),
            common_name: session.common_name.to_string(),
            server_id: id.node.to_string(),
            since: session.since.into(),
            ended_at: None,
            ended_before: None,
            end: None,
            last_seen_at: None,
            real_address: session.real_address,
            virtual_address: session.virtual_address,
            virtual_address6: session.virtual_address6,
            bytes_in: session.bytes_in,
            bytes_out: session.bytes_out,
            client_version: session.client_version,
            client_platform: session.client_platform,
            listener: session.listener.map(ListenerText),
            id: SessionIdText(id),
        }
    }
}

impl MissingServer {
    pub(super) fn of(missing: Missing) -> Self {
        Self {
            server_id: missing.node.to_string(),
            reason: missing.reason,
        }
    }
}

impl Example for Session {
    fn example() -> Self {
        let since = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        Self {
            id: SessionIdText("endnode-1.1795000000.7".parse().expect("a valid id")),
            username: Some("alice".to_owned()),
            device: Some("default".to_owned()),
            common_name: "alice.0198f2a5".to_owned(),
            server_id: "endnode-1".to_owned(),
            since: since.into(),
            ended_at: None,
            ended_before: None,
            end: None,
            last_seen_at: None,
            real_address: "192.0.2.55:50123".to_owned(),
            virtual_address: Some("10.8.0.2".to_owned()),
            virtual_address6: None,
            bytes_in: 5_000_000,
            bytes_out: 70_000_000,
            client_version: Some("2.6.14".to_owned()),
            client_platform: Some("linux".to_owned()),
            listener: Some(ListenerText("udp:1194".parse().expect("a valid listener"))),
        }
    }
}

impl Example for SessionPage {
    fn example() -> Self {
        Self {
            items: vec![Session::example()],
            next_cursor: None,
            missing: vec![MissingServer {
                server_id: "endnode-2".to_owned(),
                reason: "it cannot be reached".to_owned(),
            }],
        }
    }
}
