//! Requests to a node, `vpn.node.<node>.<verb>`. An absent node answers at once with "no responders".

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    acks::Ack,
    bounded::{List, OptionalText, TEXT, Text},
    commands::Command,
    holdings::{HeldUser, USERS_PAGE},
    ids::{CommonName, UserKey},
    listeners::Listener,
    times,
};

/// One request to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NodeRequest {
    /// The parts of one credential's profile ([`NodeAnswer::ProfileParts`]). No other answer holds a private key; it crosses the bus
    /// inside TLS and is stored nowhere.
    Profile {
        /// The user.
        user_key: UserKey,
        /// The credential.
        common_name: CommonName,
    },
    /// One page of the live sessions.
    Sessions {
        /// How many sessions to skip.
        offset: u32,
    },
    /// Ends one live session: its client is told to stop (OpenVPN's `HALT`), so it does not come back by itself, and one that does not listen is
    /// dropped. Its credential stays valid, so its user may log in again.
    Disconnect {
        /// The number of the session, [`LiveSession::cid`].
        cid: u64,
        /// Start of the session. OpenVPN counts from 0 again when it restarts.
        #[serde(deserialize_with = "times::bounded")]
        since: DateTime<Utc>,
    },
    /// Starts or ends moving the node's clients to their next servers. The agent remembers it across restarts; repeating it changes nothing.
    Drain {
        /// `true`: clients are moved away, new ones too. `false`: clients may stay again.
        draining: bool,
        /// The most sessions that are moved in one second, not counting new ones; at least 1.
        pace: u32,
    },
    /// The node applies one command at once, before what waits in its stream. The stream carries the command too: this is the faster of two ways,
    /// and it works while the bus stores nothing. Repeating it changes nothing.
    Apply {
        /// The command, for this node.
        command: Command,
    },
    /// The node does the sync handshake ([`crate::sync`]) at once. Repeating it changes nothing; a node that must not serve does it too.
    Sync,
    /// The node restarts its OpenVPN, with several listeners one after another; who may log in stays as it is. Its answer comes once that is
    /// begun, and its heartbeats say that OpenVPN waits until it has ended. Repeating it while it goes on changes nothing. An agent that is older
    /// than this request answers [`NodeAnswer::Failed`] with [`UNKNOWN_RESTART`].
    RestartServer {
        /// `true`: nothing is restarted, and the answer is the one that the request would get.
        only_ask: bool,
    },
    /// One page of the users that the node holds, in the order of their keys; of those that it was told to remove, too, as long as it remembers
    /// them. An agent that is older than this request answers [`NodeAnswer::Failed`].
    Users {
        /// The last key of the page before; `None`: the first page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<UserKey>,
    },
    /// The node leaves the fleet: it must not serve any more, also after a restart of its agent.
    Retire {
        /// The reason, for people.
        #[serde(with = "Text::<TEXT>")]
        reason: String,
    },
}

impl NodeRequest {
    /// What is asked: the last token of its subject and the `type` of its body.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Profile { .. } => "profile",
            Self::Sessions { .. } => "sessions",
            Self::Disconnect { .. } => "disconnect",
            Self::Drain { .. } => "drain",
            Self::Apply { .. } => "apply",
            Self::Sync => "sync",
            Self::RestartServer { .. } => "restart_server",
            Self::Users { .. } => "users",
            Self::Retire { .. } => "retire",
        }
    }
}

/// What stands in the answer of an agent that does not know [`NodeRequest::RestartServer`]: it says so of each word that it does not know.
pub const UNKNOWN_RESTART: &str = "unknown variant `restart_server`";

/// The most sessions in one answer, to stay below the bound of [`crate::payload`].
pub const SESSIONS_PAGE: usize = 96;

/// The most characters of an address: an IPv6 address with a zone and a port has fewer.
const ADDRESS: usize = 64;
/// The most characters of what a client says of itself.
const CLIENT: usize = 32;
/// The most characters of an IPv6 address.
const ADDRESS6: usize = 45;

/// The node's answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NodeAnswer {
    /// A whole profile, as agents of 0.1.0 before [`Self::ProfileParts`] sent it. It is decoded so that management can say what is wrong; nobody
    /// sends it and nobody uses its text.
    Profile {
        /// The whole `.ovpn` file.
        profile: String,
        /// SHA-256 of it, lower-case hex.
        #[serde(with = "Text::<TEXT>")]
        checksum: String,
    },
    /// The parts of a profile that only the node has. Management checks each and composes the profile.
    ProfileParts(ProfileParts),
    /// Live sessions, oldest first.
    Sessions {
        /// At most [`SESSIONS_PAGE`].
        #[serde(with = "List::<SESSIONS_PAGE>")]
        sessions: Vec<LiveSession>,
        /// Whether there are more.
        more: bool,
    },
    /// Users that the node holds, in the order of their keys.
    Users {
        /// At most [`USERS_PAGE`].
        #[serde(with = "List::<USERS_PAGE>")]
        users: Vec<HeldUser>,
        /// Whether there are more.
        more: bool,
        /// Whether the node has ever held all that it should: otherwise one who is missing may be one of its users all the same.
        complete: bool,
    },
    /// The session was ended.
    Disconnected {
        /// Its credential.
        common_name: CommonName,
    },
    /// The command was applied, or why not. The node's stream gets no ack for it.
    Acked {
        /// The answer to the command.
        ack: Ack,
    },
    /// It is done, or it is in the journal and will be done.
    Done,
    /// The node does not hold what was asked for.
    NotFound {
        /// What is missing, for people.
        #[serde(with = "Text::<TEXT>")]
        detail: String,
    },
    /// The node could not do it.
    Failed {
        /// The reason, for people.
        #[serde(with = "Text::<TEXT>")]
        error: String,
    },
}

/// What a profile needs that only its home node has. Each part is one PEM block (RFC 7468) in lines of 64 characters that end with LF, and
/// nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileParts {
    /// The certificate, as management signed it.
    pub certificate: String,
    /// Its private key, ECDSA P-256, PKCS #8.
    pub key: String,
    /// The tls-crypt-v2 client key.
    pub tls_crypt_v2: String,
}

impl std::fmt::Debug for ProfileParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProfileParts([REDACTED])")
    }
}

/// Why a request that is answered with [`NodeAnswer::Done`] was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The node could not do it; its reason, for people.
    #[error("{0}")]
    Failed(String),
    /// The answer belongs to another request.
    #[error("the node answered another request")]
    OtherAnswer,
}

impl NodeAnswer {
    /// For a request that returns nothing: whether it is done.
    pub fn into_done(self) -> Result<(), NotDone> {
        match self {
            Self::Done => Ok(()),
            Self::Failed { error } => Err(NotDone::Failed(error)),
            Self::Profile { .. }
            | Self::ProfileParts(_)
            | Self::Sessions { .. }
            | Self::Users { .. }
            | Self::Disconnected { .. }
            | Self::Acked { .. }
            | Self::NotFound { .. } => Err(NotDone::OtherAnswer),
        }
    }
}

impl std::fmt::Debug for NodeAnswer {
    /// Shows the kind of answer only: a profile holds a private key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Profile { .. } => "Profile([REDACTED])",
            Self::ProfileParts(_) => "ProfileParts([REDACTED])",
            Self::Sessions { .. } => "Sessions(..)",
            Self::Users { .. } => "Users(..)",
            Self::Disconnected { .. } => "Disconnected(..)",
            Self::Acked { .. } => "Acked(..)",
            Self::Done => "Done",
            Self::NotFound { .. } => "NotFound(..)",
            Self::Failed { .. } => "Failed(..)",
        })
    }
}

/// One live tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSession {
    /// The credential.
    pub common_name: CommonName,
    /// OpenVPN's number for the session, plus 2^40 for each listener of the node before its own, so that it names a session of the node together
    /// with [`Self::since`]. Counts from there again when OpenVPN restarts. Absent: an agent that is older than [`NodeRequest::Disconnect`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<u64>,
    /// Address and port of the client. OpenVPN before 2.7 does not tell the port of an IPv6 client.
    #[serde(with = "Text::<ADDRESS>")]
    pub real_address: String,
    /// Its IPv4 address inside the tunnel.
    #[serde(default, with = "OptionalText::<ADDRESS>", skip_serializing_if = "Option::is_none")]
    pub virtual_address: Option<String>,
    /// Its IPv6 address inside the tunnel.
    #[serde(default, with = "OptionalText::<ADDRESS6>", skip_serializing_if = "Option::is_none")]
    pub virtual_address6: Option<String>,
    /// Bytes received from the client.
    pub bytes_in: u64,
    /// Bytes sent to the client.
    pub bytes_out: u64,
    /// Start of the session.
    #[serde(deserialize_with = "times::bounded")]
    pub since: DateTime<Utc>,
    /// The release of OpenVPN that the client says it is (`IV_VER`), such as `2.6.14`. Absent: it did not say, or logged in before the agent
    /// started.
    #[serde(default, with = "OptionalText::<CLIENT>", skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
    /// The system that the client says it runs on (`IV_PLAT`), such as `linux`.
    #[serde(default, with = "OptionalText::<CLIENT>", skip_serializing_if = "Option::is_none")]
    pub client_platform: Option<String>,
    /// The listener that the client came to. Absent: an agent of before listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
}
