//! Connected clients, and how their sessions end.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use vpnmanager_nats::{listeners::Listener, node_requests::LiveSession};

/// One connected client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// Common name of its certificate, as the server reports it. With an operator's own CA it may not be a
    /// [`CommonName`](vpnmanager_nats::ids::CommonName).
    pub common_name: String,
    /// The server's number for this session; counts from 0 again when the server restarts. Where the node has several listeners, plus 2^40 for
    /// each before its own.
    pub cid: u64,
    /// The listener that it came through, as clients dial it. `None` where there is no OpenVPN.
    pub listener: Option<Listener>,
    /// Where it dials from: address and port; OpenVPN before 2.7 does not tell the port of an IPv6 client.
    pub real_address: String,
    /// The IPv4 address that it has inside the VPN, empty while it has none.
    pub virtual_address: String,
    /// The IPv6 address that it has inside the VPN, empty while it has none.
    pub virtual_address6: String,
    /// Bytes received from the client since it connected.
    pub bytes_in: u64,
    /// Bytes sent to the client since it connected.
    pub bytes_out: u64,
    /// When it connected.
    pub since: DateTime<Utc>,
    /// Whether the server is known to have let it in: it has an address inside the VPN, or the agent heard of its login. A client that is
    /// refused has its certificate's name all the same, and stands among the others until OpenVPN drops it, 5 s later.
    pub is_established: bool,
    /// The release of OpenVPN that the client says it is. `None`: it did not say, or logged in before the agent started.
    pub client_version: Option<String>,
    /// The system that the client says it runs on.
    pub client_platform: Option<String>,
}

/// Which session of a server is meant. The order is that of their beginnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// [`Session::since`]: after a restart of the server another session has the number.
    pub since: DateTime<Utc>,
    /// [`Session::cid`].
    pub cid: u64,
}

impl Session {
    /// What names it.
    pub fn key(&self) -> SessionKey {
        SessionKey {
            cid: self.cid,
            since: self.since,
        }
    }

    /// What management is told of it. `None` for a half-open session, or one of a certificate that is none of ours.
    pub fn live(self) -> Option<LiveSession> {
        Some(LiveSession {
            common_name: self.common_name.parse().ok()?,
            cid: Some(self.cid),
            real_address: self.real_address,
            virtual_address: Some(self.virtual_address).filter(|address| !address.is_empty()),
            virtual_address6: Some(self.virtual_address6).filter(|address| !address.is_empty()),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            since: self.since,
            listener: self.listener,
            client_version: self.client_version,
            client_platform: self.client_platform,
        })
    }
}

/// What a client is told when its session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// Stop, and do not come back.
    Halt,
    /// Log in again here.
    Reconnect,
    /// Log in again at the next `remote` of the profile. The session is not dropped at once: the client has 5 s to hear of it.
    NextRemote,
}

/// How many sessions were ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CutSessions {
    /// Sessions that were connected and no longer are.
    pub count: u32,
    /// Those besides whose credentials are let in: they have another address by now, found none, or are held back until the firewall holds the rules of their groups.
    pub moved: BTreeSet<SessionKey>,
    /// Whether others may go on.
    pub rest: Rest,
}

/// What is left of the sessions that should end: the more, the greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// Nothing.
    #[default]
    Nothing,
    /// The server could not be asked: they may still be alive, and must be cut by `Vpn::enforce`.
    Pending,
    /// The agent sees no server and never will: they go on until somebody else ends them.
    Unseen,
}

impl CutSessions {
    /// So many were ended, and nothing is left to do.
    pub fn done(sessions: usize) -> Self {
        Self {
            count: u32::try_from(sessions).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }

    /// The server could not be asked.
    pub fn pending() -> Self {
        Self {
            rest: Rest::Pending,
            ..Self::default()
        }
    }

    /// What was ended on several servers, or at several times. Something is left if anything is left on one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.moved.extend(other.moved);
        Self {
            count: self.count.saturating_add(other.count),
            moved: self.moved,
            rest: self.rest.max(other.rest),
        }
    }

    /// There is no server that could be asked.
    pub fn unseen() -> Self {
        Self {
            rest: Rest::Unseen,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_on_one_server_is_left() {
        let key = |cid| SessionKey {
            since: DateTime::UNIX_EPOCH,
            cid,
        };
        let cut = |count, moved: &[u64], rest| CutSessions {
            count,
            moved: moved.iter().map(|cid| key(*cid)).collect(),
            rest,
        };
        let nothing = cut(2, &[1], Rest::Nothing);
        assert_eq!(
            nothing.clone().and(cut(3, &[2], Rest::Nothing)),
            cut(5, &[1, 2], Rest::Nothing)
        );
        for (one, other) in [
            (&nothing, CutSessions::pending()),
            (&CutSessions::pending(), nothing.clone()),
        ] {
            assert_eq!(one.clone().and(other), cut(2, &[1], Rest::Pending));
        }
    }
}
