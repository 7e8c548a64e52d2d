//! What OpenVPN's replies say. Pure.

use chrono::{DateTime, Utc};
use openvpn_mgmt_codec::{
    OpenVpnState, UtcTimestamp, parse_status,
    parsed_response::{parse_current_state, parse_load_stats, parse_pid, parse_version},
};

use super::error::ControlError;
use crate::backend::Session;

/// The common name that OpenVPN shows for a handshake which is not finished.
const HALF_OPEN: &str = "UNDEF";

/// Counters over all clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Clients that have finished their handshake.
    pub sessions: u64,
    /// Bytes received from clients.
    pub bytes_in: u64,
    /// Bytes sent to clients.
    pub bytes_out: u64,
}

/// How the server describes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerState {
    /// It accepts clients.
    pub serving: bool,
    /// Since when it is in this state.
    pub since: DateTime<Utc>,
}

/// Process id of the server, from the reply to `pid`.
pub fn pid_in(reply: &str) -> Result<u32, ControlError> {
    parse_pid(reply).map_err(|error| ControlError::Unreadable(error.into()))
}

/// What the server is doing, from the reply to `state`.
pub fn state_in(lines: &[String]) -> Result<ServerState, ControlError> {
    let entry = parse_current_state(lines).map_err(|error| ControlError::Unreadable(error.into()))?;
    Ok(ServerState {
        serving: entry.name == OpenVpnState::Connected,
        since: utc(entry.timestamp),
    })
}

/// Counters over all clients, from the reply to `load-stats`.
pub fn load_in(reply: &str) -> Result<Load, ControlError> {
    let stats = parse_load_stats(reply).map_err(|error| ControlError::Unreadable(error.into()))?;
    Ok(Load {
        sessions: stats.nclients,
        bytes_in: stats.bytesin,
        bytes_out: stats.bytesout,
    })
}

/// The server's release, such as `2.6.14`, from the reply to `version`.
pub fn version_in(lines: &[String]) -> Result<Option<String>, ControlError> {
    let version = parse_version(lines).map_err(|error| ControlError::Unreadable(error.into()))?;
    let line = version.openvpn_version_line().unwrap_or_default();
    Ok(line
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned))
}

/// Clients that have finished their handshake, from the reply to `status 3`.
pub fn sessions_in(lines: &[String]) -> Result<Vec<Session>, ControlError> {
    let status = parse_status(lines).map_err(|error| ControlError::Unreadable(error.into()))?;
    let sessions = status
        .clients
        .into_iter()
        .filter(|client| client.common_name != HALF_OPEN);
    Ok(sessions
        .filter_map(|client| {
            Some(Session {
                cid: client.cid?,
                since: utc(client.connected_since_t?),
                common_name: client.common_name,
                real_address: client.real_address,
                virtual_address: client.virtual_address,
                bytes_in: client.bytes_in,
                bytes_out: client.bytes_out,
            })
        })
        .collect())
}

fn utc(timestamp: UtcTimestamp) -> DateTime<Utc> {
    i64::try_from(timestamp.0)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .unwrap_or_default()
}
