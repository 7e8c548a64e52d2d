//! Connected clients, and how their sessions end.

use chrono::{DateTime, Utc};
use vpnmanager_nats::node_requests::LiveSession;

/// One connected client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Common name of its certificate, as the server reports it. With an operator's own CA it may not be a
    /// [`CommonName`](vpnmanager_nats::ids::CommonName).
    pub common_name: String,
    /// The server's number for this session; counts from 0 again when the server restarts.
    pub cid: u64,
    /// Where it dials from: address and port.
    pub real_address: String,
    /// The address that it has inside the VPN, empty while it has none.
    pub virtual_address: String,
    /// Bytes received from the client since it connected.
    pub bytes_in: u64,
    /// Bytes sent to the client since it connected.
    pub bytes_out: u64,
    /// When it connected.
    pub since: DateTime<Utc>,
}

impl Session {
    /// What management is told of it. `None` for a half-open session, or one of a certificate that is none of ours.
    pub fn live(self) -> Option<LiveSession> {
        Some(LiveSession {
            common_name: self.common_name.parse().ok()?,
            real_address: self.real_address,
            virtual_address: Some(self.virtual_address).filter(|address| !address.is_empty()),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            since: self.since,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CutSessions {
    /// Sessions that were connected and no longer are.
    pub count: u32,
    /// The server could not be asked: sessions may still be alive, and must be cut by `Vpn::enforce`.
    pub pending: bool,
}

impl CutSessions {
    /// So many were ended, and nothing is left to do.
    pub fn done(sessions: usize) -> Self {
        Self {
            count: u32::try_from(sessions).unwrap_or(u32::MAX),
            pending: false,
        }
    }

    /// The server could not be asked.
    pub fn pending() -> Self {
        Self {
            count: 0,
            pending: true,
        }
    }
}
