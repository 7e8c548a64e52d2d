//! What OpenVPN's replies say. Pure.

use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, Datelike as _, Utc};
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

/// Whom a server lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Clients that have finished their handshake. Those without an address inside the VPN were refused, or belong to a server that gives none.
    pub sessions: Vec<Session>,
    /// Handshakes that are not finished.
    pub handshakes: Vec<Handshake>,
}

/// A handshake that was begun and is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Where it comes from; `None` where that cannot be read.
    pub from: Option<IpAddr>,
    /// When it was begun, cut to whole seconds.
    pub since: DateTime<Utc>,
}

/// Who took places of a server at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The moment, or one just before it.
    pub at: DateTime<Utc>,
    /// Clients that had finished their handshake.
    pub sessions: u32,
    /// Handshakes that were not finished.
    pub handshakes: Vec<Handshake>,
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

/// All clients, from the reply to `status 3`.
pub fn listed_in(lines: &[String]) -> Result<Listed, ControlError> {
    let status = parse_status(lines).map_err(|error| ControlError::Unreadable(error.into()))?;
    let mut listed = Listed::default();
    for client in status.clients {
        let Some(since) = client.connected_since_t.map(utc) else {
            continue;
        };
        let real_address = plain_address(&client.real_address);
        if client.common_name == HALF_OPEN {
            let from = ip_of(&real_address);
            listed.handshakes.push(Handshake { from, since });
            continue;
        }
        let Some(cid) = client.cid else { continue };
        let has_address = !client.virtual_address.is_empty() || !client.virtual_ipv6.is_empty();
        listed.sessions.push(Session {
            cid,
            since,
            common_name: client.common_name,
            real_address,
            virtual_address: client.virtual_address,
            virtual_address6: client.virtual_ipv6,
            bytes_in: client.bytes_in,
            bytes_out: client.bytes_out,
            is_established: has_address,
            listener: None,
            client_version: None,
            client_platform: None,
        });
    }
    Ok(listed)
}

/// Where a client dials from, written in one way. OpenVPN 2.7 puts the protocol before it (`udp4:192.0.2.1:50000`), 2.6 leaves the port of an
/// IPv6 client away, and a socket for both families shows IPv4 clients as IPv6. What is neither stays as it is.
fn plain_address(text: &str) -> String {
    let is_protocol = |word: &str| word.starts_with("udp") || word.starts_with("tcp");
    let bare = match text.split_once(':') {
        Some((word, rest)) if is_protocol(word) => rest,
        Some(_) | None => text,
    };
    if let Ok(address) = bare.parse::<SocketAddr>() {
        return SocketAddr::new(address.ip().to_canonical(), address.port()).to_string();
    }
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => text.to_owned(),
    }
}

/// The address without its port.
fn ip_of(plain_address: &str) -> Option<IpAddr> {
    let with_port = plain_address.parse::<SocketAddr>().map(|address| address.ip());
    with_port.or_else(|_| plain_address.parse()).ok()
}

/// Seconds since 1970. A time that no message can hold (the years after 9999) becomes the beginning.
fn utc(timestamp: UtcTimestamp) -> DateTime<Utc> {
    i64::try_from(timestamp.0)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .filter(|time| time.year() <= 9999)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "TITLE\tOpenVPN 2.6.14 x86_64-pc-linux-gnu
TIME\t2026-11-28 12:00:00\t1795867200
HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\tBytes Received\tBytes Sent\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel Cipher
CLIENT_LIST\talice.x\t192.0.2.1:50000\t10.8.0.2\t\t4321\t1234\t2026-11-28 11:59:00\t1795867140\tUNDEF\t7\t0\tAES-256-GCM
CLIENT_LIST\tUNDEF\t192.0.2.9:50000\t\t\t0\t0\t2026-11-28 11:59:59\t1795867199\tUNDEF\t8\t1\t
HEADER\tROUTING_TABLE\tVirtual Address\tCommon Name\tReal Address\tLast Ref\tLast Ref (time_t)
GLOBAL_STATS\tMax bcast/mcast queue length\t0";

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    fn sessions_in(lines: &[String]) -> Result<Vec<Session>, ControlError> {
        listed_in(lines).map(|listed| listed.sessions)
    }

    #[test]
    fn a_session_is_one_that_has_finished_its_handshake() {
        let sessions = sessions_in(&lines(STATUS)).expect("a status");
        assert_eq!(sessions.len(), 1);
        assert_eq!((sessions[0].cid, sessions[0].common_name.as_str()), (7, "alice.x"));
        assert_eq!(sessions[0].since.timestamp(), 1_795_867_140);
    }

    #[test]
    fn a_handshake_that_is_not_finished_is_told_apart_with_where_it_comes_from() {
        for (told, from) in [
            ("192.0.2.9:50000", Some("192.0.2.9")),
            ("tcp6-server:[2001:db8::9]:50000", Some("2001:db8::9")),
            ("2001:db8::9", Some("2001:db8::9")),
            ("[UNDEF]", None),
        ] {
            let listed = listed_in(&lines(&STATUS.replace("192.0.2.9:50000", told))).expect("a status");
            assert_eq!(listed.sessions.len(), 1, "{told}");
            let handshake = Handshake {
                from: from.map(|from| from.parse().expect("an address")),
                since: DateTime::from_timestamp(1_795_867_199, 0).expect("a time"),
            };
            assert_eq!(listed.handshakes, [handshake], "{told}");
        }
    }

    /// As OpenVPN 2.6.3 lists a client for 5 s that it told `AUTH_FAILED`.
    #[test]
    fn a_client_without_an_address_is_not_known_to_be_let_in() {
        for (inside, expected) in [
            ("\t\t", false),
            ("\t10.8.0.2\t", true),
            ("\t\tfd00:8::2", true),
            ("\t10.8.0.2\tfd00:8::2", true),
        ] {
            let status = STATUS.replace("\t10.8.0.2\t\t4321", &format!("{inside}\t4321"));
            let sessions = sessions_in(&lines(&status)).expect("a status");
            let told: Vec<(u64, bool)> = sessions
                .iter()
                .map(|session| (session.bytes_in, session.is_established))
                .collect();
            assert_eq!(told, [(4321, expected)], "{inside:?}");
        }
    }

    #[test]
    fn the_address_of_a_client_is_written_in_one_way_by_every_release() {
        for (told, plain) in [
            ("192.0.2.1:50000", "192.0.2.1:50000"),
            ("udp4:192.0.2.1:50000", "192.0.2.1:50000"),
            ("udp6:192.0.2.1:50000", "192.0.2.1:50000"),
            ("tcp4-server:192.0.2.1:50000", "192.0.2.1:50000"),
            ("udp6:[2001:db8::1]:50000", "[2001:db8::1]:50000"),
            ("udp6:[::ffff:192.0.2.1]:50000", "192.0.2.1:50000"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[UNDEF]", "[UNDEF]"),
            ("udp", "udp"),
            ("", ""),
        ] {
            assert_eq!(plain_address(told), plain, "{told}");
        }
    }

    #[test]
    fn addresses_of_both_families_inside_the_tunnel_are_told() {
        let both = STATUS.replace("\t10.8.0.2\t\t", "\t10.8.0.2\tfd00:8::2\t");
        let sessions = sessions_in(&lines(&both)).expect("a status");
        assert_eq!(
            (
                sessions[0].virtual_address.as_str(),
                sessions[0].virtual_address6.as_str()
            ),
            ("10.8.0.2", "fd00:8::2")
        );
        let live = sessions[0].clone().live().expect("one of ours");
        assert_eq!(live.virtual_address6.as_deref(), Some("fd00:8::2"));
    }

    #[test]
    fn a_time_that_no_message_can_hold_becomes_the_beginning() {
        for beyond in ["253402300800", "9223372036854775807"] {
            let sessions = sessions_in(&lines(&STATUS.replace("1795867140", beyond))).expect("a status");
            assert_eq!(sessions[0].since, DateTime::<Utc>::UNIX_EPOCH, "{beyond}");
        }
    }

    proptest! {
        #[test]
        fn whatever_openvpn_says_panics_nothing(
            text in prop_oneof![".{0,200}", "[A-Z]{2,12}[\t,][ -~\t]{0,80}\n[ -~\t,\n]{0,200}"],
            at in any::<prop::sample::Index>(),
            byte in 0x09_u8..0x7f,
        ) {
            let mut damaged = STATUS.as_bytes().to_vec();
            damaged[at.index(STATUS.len())] = byte;
            for text in [text, String::from_utf8(damaged).expect("ASCII")] {
                let lines = lines(&text);
                drop((pid_in(&text), load_in(&text), state_in(&lines), version_in(&lines)));
                let sessions = sessions_in(&lines).unwrap_or_default();
                prop_assert!(sessions.iter().all(|session| session.common_name != HALF_OPEN && session.since.year() <= 9999));
            }
        }
    }
}
