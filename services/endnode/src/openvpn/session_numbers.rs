//! Numbers of sessions among all OpenVPNs of a node: each of them counts its own from 0. Pure.

use std::ops::Range;

use vpnmanager_nats::listeners::Listeners;

use crate::backend::{Session, SessionKey};

/// Between the numbers of one OpenVPN and those of the next (`LiveSession::cid`). None of them comes so far: at a thousand logins a second it
/// would take 35 years.
const STEP: u64 = 1 << 40;

/// The number of the OpenVPN of the old listener. It lies behind those of all listeners that a node may have, so that other listeners give it no
/// other one.
pub(super) const OLD: usize = Listeners::MOST;

/// Whether the session with this number among all is one at the old listener.
pub(crate) fn is_at_old_listener(cid: u64) -> bool {
    numbers_of(OLD).contains(&cid)
}

/// The number among all of a session of the OpenVPN with this number.
fn among_all(server: usize, cid: u64) -> u64 {
    let before = u64::try_from(server).unwrap_or(u64::MAX);
    STEP.saturating_mul(before).saturating_add(cid)
}

/// The numbers among all that sessions of the OpenVPN with this number have.
pub(super) fn numbers_of(server: usize) -> Range<u64> {
    among_all(server, 0)..among_all(server.saturating_add(1), 0)
}

/// The session of the OpenVPN with this number, as it is named among all.
pub(super) fn session_among_all(server: usize, session: Session) -> Session {
    Session {
        cid: among_all(server, session.cid),
        ..session
    }
}

/// What names it among all.
pub(super) fn key_among_all(server: usize, key: SessionKey) -> SessionKey {
    SessionKey {
        cid: among_all(server, key.cid),
        ..key
    }
}

/// Which OpenVPN has the session that is so named among all, and what names it there.
pub(super) fn key_of_one(key: SessionKey) -> (usize, SessionKey) {
    let server = usize::try_from(key.cid / STEP).unwrap_or(usize::MAX);
    let key = SessionKey {
        cid: key.cid % STEP,
        ..key
    };
    (server, key)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn sessions_of_the_first_openvpn_keep_their_numbers_and_all_are_found_again() {
        for (server, cid, number) in [
            (0, 0, 0),
            (0, 7, 7),
            (1, 0, 1_099_511_627_776),
            (3, 7, 3_298_534_883_335),
        ] {
            let own = SessionKey {
                since: DateTime::UNIX_EPOCH,
                cid,
            };
            let key = key_among_all(server, own);
            assert_eq!((key.cid, key.since), (number, own.since));
            assert_eq!(key_of_one(key), (server, own));
            let all = [0, 1, 2, 3].map(|server| numbers_of(server).contains(&key.cid));
            assert_eq!(all, [0, 1, 2, 3].map(|other| other == server));
            let session = Session {
                cid,
                ..Session::default()
            };
            assert_eq!(session_among_all(server, session).cid, number);
        }
    }

    #[test]
    fn sessions_at_the_old_listener_have_numbers_that_no_listener_of_a_node_has() {
        for server in 0..Listeners::MOST {
            for cid in [0, STEP - 1] {
                assert!(!is_at_old_listener(among_all(server, cid)), "{server} {cid}");
            }
        }
        for cid in [0, STEP - 1] {
            assert!(is_at_old_listener(among_all(OLD, cid)), "{cid}");
        }
        assert!(!is_at_old_listener(among_all(OLD + 1, 0)));
    }
}
