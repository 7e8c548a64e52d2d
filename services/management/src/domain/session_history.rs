//! What the history holds of a session, and what another report changes of it. Reports may come twice, and in any order: bytes and times
//! never go back, and an end that a node tells is final.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use vpnmanager_entities::session;
use vpnmanager_nats::{
    ids::NodeId,
    sessions::{EndKind, SessionRecord},
};

use super::{session_address::real_ip, session_id::SessionId};

/// A session that begins further ahead is none: no clock that serves is off by so much.
const MOST_AHEAD: TimeDelta = TimeDelta::days(1);
/// A session has a length, or no moment would lie in it: OpenVPN tells its start in whole seconds.
const SHORTEST: TimeDelta = TimeDelta::milliseconds(1);

/// What a report changes: the row as it is to be, and what is new in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The row after it.
    pub row: session::Model,
    /// When the session was last known to be alive before, or when it began: the bytes came since then.
    pub from: DateTime<Utc>,
    /// Bytes from the client that were not counted before.
    pub bytes_in: i64,
    /// Bytes to the client that were not counted before.
    pub bytes_out: i64,
    /// Whether the session was not known before.
    pub began: bool,
}

/// A session that a node tells of, and its row as far as the node can say. `None`: it has no number, as that of an old agent; its start or
/// number is beyond what an id can say; or it begins more than a day after `now`.
pub fn told(node: &NodeId, record: &SessionRecord, now: DateTime<Utc>) -> Option<(SessionId, session::Model)> {
    let SessionRecord { session, ended, .. } = record;
    let id = SessionId::new(node.clone(), session.since, session.cid?)?;
    if id.since > now + MOST_AHEAD {
        return None;
    }
    let inside4 = session.virtual_address.as_deref();
    let inside4 = inside4.and_then(|text| text.parse::<Ipv4Addr>().ok());
    let inside6 = session.virtual_address6.as_deref();
    let inside6 = inside6.and_then(|text| text.parse::<Ipv6Addr>().ok());
    let ended_at = ended
        .as_ref()
        .map(|ended| ended.at.trunc_subsecs(6).max(id.since + SHORTEST));
    // Nobody sees an end before it comes.
    let seen_at = record.seen_at.trunc_subsecs(6).max(ended_at.unwrap_or(id.since));
    let row = session::Model {
        server_id: id.node.clone(),
        since: id.since,
        cid: i64::try_from(id.cid).ok()?,
        common_name: session.common_name.clone(),
        user_id: None,
        username: None,
        device: None,
        real_address: session.real_address.clone(),
        real_ip: real_ip(&session.real_address).map(Into::into),
        virtual_address: inside4.map(|address| IpAddr::V4(address).into()),
        virtual_address6: inside6.map(|address| IpAddr::V6(address).into()),
        bytes_in: i64::try_from(session.bytes_in).unwrap_or(i64::MAX),
        bytes_out: i64::try_from(session.bytes_out).unwrap_or(i64::MAX),
        client_version: session.client_version.clone(),
        client_platform: session.client_platform.clone(),
        listener: session.listener,
        seen_at,
        ended_at,
        end_kind: ended.as_ref().map(|ended| ended.kind),
        gone_at: ended.as_ref().and_then(|ended| match ended.kind {
            EndKind::Seen => ended_at,
            EndKind::Assumed => Some(seen_at),
        }),
        // The database writes its own times.
        recorded_at: now.trunc_subsecs(6),
        first_recorded_at: now.trunc_subsecs(6),
        // Reports do not write these.
        end_asked_at: None,
        end_answered_at: None,
        end_audited: false,
    };
    Some((id, row))
}

/// The session of a row.
pub fn id_of(row: &session::Model) -> SessionId {
    SessionId {
        node: row.server_id.clone(),
        since: row.since,
        // A row has none below 0.
        cid: u64::try_from(row.cid).unwrap_or_default(),
    }
}

/// When the node last saw the session alive. An assumed end is seen later than that.
pub fn last_alive(row: &session::Model) -> DateTime<Utc> {
    match row.end_kind {
        Some(EndKind::Assumed) => row.ended_at.unwrap_or(row.seen_at),
        Some(EndKind::Seen) | None => row.seen_at,
    }
}

/// Whether its end is final. One that management assumed by itself, because the node seemed to know nothing of the session any more, is
/// later than all that the node said, and gives way to what it says after that.
fn is_over(row: &session::Model) -> bool {
    row.gone_at.is_some_and(|gone_at| gone_at <= row.seen_at)
}

/// The row after another report of the same session; `None` if that says nothing new, or is of another credential, which no session changes.
pub fn follow(held: &session::Model, told: &session::Model) -> Option<session::Model> {
    let is_late = held.gone_at.is_some() && told.gone_at.is_none() && told.seen_at <= held.seen_at;
    if is_over(held) || is_late || held.common_name != told.common_name {
        return None;
    }
    // Where the client is, and what it is, may change or become known: the newer report has it. What it leaves out stays.
    let (newer, older) = if told.seen_at >= held.seen_at {
        (told, held)
    } else {
        (held, told)
    };
    let after = session::Model {
        real_address: newer.real_address.clone(),
        real_ip: newer.real_ip,
        virtual_address: newer.virtual_address.or(older.virtual_address),
        virtual_address6: newer.virtual_address6.or(older.virtual_address6),
        client_version: newer.client_version.clone().or_else(|| older.client_version.clone()),
        client_platform: newer.client_platform.clone().or_else(|| older.client_platform.clone()),
        listener: newer.listener.or(older.listener),
        bytes_in: held.bytes_in.max(told.bytes_in),
        bytes_out: held.bytes_out.max(told.bytes_out),
        seen_at: newer.seen_at,
        ended_at: told.ended_at,
        end_kind: told.end_kind,
        gone_at: told.gone_at,
        ..held.clone()
    };
    (after != *held).then_some(after)
}

/// Whether a living session only goes on, maybe from another address: nothing about it became known.
pub fn is_progress(held: &session::Model, after: &session::Model) -> bool {
    let known = |row: &session::Model| {
        (
            row.gone_at,
            row.virtual_address,
            row.virtual_address6,
            row.client_version.clone(),
            row.client_platform.clone(),
            row.listener,
        )
    };
    after.gone_at.is_none() && known(after) == known(held)
}

impl Change {
    /// The first that is heard of a session.
    pub fn beginning(row: session::Model) -> Self {
        Self {
            bytes_in: row.bytes_in,
            bytes_out: row.bytes_out,
            began: true,
            from: row.since,
            row,
        }
    }

    /// What another report changes of a session that is known; `None` if that says nothing new.
    pub fn following(held: &session::Model, told: &session::Model) -> Option<Self> {
        let row = follow(held, told)?;
        Some(Self {
            bytes_in: row.bytes_in - held.bytes_in,
            bytes_out: row.bytes_out - held.bytes_out,
            began: false,
            from: last_alive(held),
            row,
        })
    }
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::{node_requests::LiveSession, sessions::Ended};

    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
    }

    fn after(seconds: i64) -> DateTime<Utc> {
        noon() + TimeDelta::seconds(seconds)
    }

    /// Seen so many seconds after its start, with as many bytes.
    fn seen(seconds: i64) -> SessionRecord {
        SessionRecord {
            session: LiveSession {
                common_name: "alice.x".parse().expect("a name"),
                cid: Some(7),
                real_address: "192.0.2.1:50000".to_owned(),
                virtual_address: Some("10.8.0.2".to_owned()),
                virtual_address6: None,
                bytes_in: u64::try_from(seconds).expect("small"),
                bytes_out: 2 * u64::try_from(seconds).expect("small"),
                since: noon(),
                client_version: None,
                client_platform: None,
                listener: None,
            },
            seen_at: after(seconds),
            ended: None,
        }
    }

    fn ended(seconds: i64, kind: EndKind) -> SessionRecord {
        SessionRecord {
            ended: Some(Ended {
                at: after(seconds),
                kind,
            }),
            ..seen(seconds)
        }
    }

    fn row(record: &SessionRecord) -> session::Model {
        let node = "node-1".parse().expect("a valid id");
        let (id, row) = told(&node, record, after(1_000)).expect("a session");
        assert_eq!(id_of(&row), id);
        row
    }

    #[test]
    fn reports_give_the_same_row_in_any_order() {
        let records = [seen(10), seen(20), ended(30, EndKind::Seen)].map(|record| row(&record));
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut held = records[order[0]].clone();
            let mut bytes = held.bytes_in;
            for next in &order[1..] {
                if let Some(change) = Change::following(&held, &records[*next]) {
                    bytes += change.bytes_in;
                    held = change.row;
                }
            }
            assert_eq!(held, records[2], "{order:?}");
            assert_eq!(bytes, 30, "{order:?}");
        }
    }

    #[test]
    fn an_end_is_final_and_what_is_known_already_changes_nothing() {
        let held = row(&ended(30, EndKind::Assumed));
        assert_eq!(follow(&held, &row(&seen(60))), None);
        assert_eq!(follow(&held, &row(&ended(60, EndKind::Seen))), None);
        let held = row(&seen(20));
        assert_eq!(follow(&held, &held), None);
        assert_eq!(follow(&held, &row(&seen(10))), None);
    }

    /// Last seen alive at the one time, and found gone at the other.
    fn assumed(alive: i64, found: i64) -> SessionRecord {
        SessionRecord {
            seen_at: after(found),
            ..ended(alive, EndKind::Assumed)
        }
    }

    #[test]
    fn a_session_may_have_lived_until_it_was_found_gone() {
        for (record, ended_at, gone_at, alive) in [
            (ended(30, EndKind::Seen), Some(30), Some(30), 30),
            (assumed(30, 90), Some(30), Some(90), 30),
            (assumed(30, 30), Some(30), Some(30), 30),
            // Found before it ended: a clock was set back.
            (assumed(30, 10), Some(30), Some(30), 30),
            (seen(30), None, None, 30),
        ] {
            let taken = row(&record);
            assert_eq!(
                (taken.ended_at, taken.gone_at, last_alive(&taken)),
                (ended_at.map(after), gone_at.map(after), after(alive)),
                "{record:?}"
            );
            assert_eq!(is_over(&taken), ended_at.is_some(), "{record:?}");
        }
    }

    #[test]
    fn an_end_that_management_assumed_gives_way_to_what_the_node_says_later() {
        let closed = session::Model {
            ended_at: Some(after(20)),
            end_kind: Some(EndKind::Assumed),
            gone_at: Some(after(700)),
            ..row(&seen(20))
        };
        assert_eq!(follow(&closed, &row(&seen(20))), None);
        assert_eq!(follow(&closed, &row(&seen(10))), None, "it comes late");
        let alive = follow(&closed, &row(&seen(300))).expect("it lives");
        assert_eq!((alive.ended_at, alive.end_kind, alive.gone_at), (None, None, None));
        assert_eq!(alive.bytes_in, 300);
        for end in [ended(400, EndKind::Seen), assumed(20, 600)] {
            let over = follow(&closed, &row(&end)).expect("the node knows more");
            assert_eq!((over.ended_at, over.gone_at), (row(&end).ended_at, row(&end).gone_at));
            assert_eq!(follow(&over, &row(&seen(900))), None, "this end is final");
        }
    }

    #[test]
    fn a_report_of_another_credential_changes_nothing() {
        let mut other = ended(30, EndKind::Seen);
        other.session.common_name = "bob.x".parse().expect("a name");
        assert_eq!(follow(&row(&seen(20)), &row(&other)), None);
    }

    #[test]
    fn an_address_that_becomes_known_stays_known() {
        let mut without = seen(10);
        without.session.virtual_address = None;
        let mut later = seen(20);
        later.session.virtual_address = None;
        later.session.real_address = "198.51.100.9:1".to_owned();
        let held = row(&without);
        let held = follow(&held, &row(&seen(15))).expect("the address is new");
        let held = follow(&held, &row(&later)).expect("the client has moved");
        assert_eq!(held.virtual_address, Some("10.8.0.2".parse().expect("an address")));
        assert_eq!(held.real_ip, Some("198.51.100.9".parse().expect("an address")));
    }

    #[test]
    fn a_listener_that_becomes_known_stays_known_and_is_more_than_progress() {
        let mut with = seen(20);
        with.session.listener = Some("tcp:443".parse().expect("a listener"));
        let before = row(&seen(10));
        let held = follow(&before, &row(&with)).expect("the listener is new");
        assert_eq!(held.listener, with.session.listener);
        assert!(!is_progress(&before, &held));
        let later = follow(&held, &row(&seen(30))).expect("it goes on");
        assert_eq!(later.listener, held.listener);
        assert!(is_progress(&held, &later));
    }

    #[test]
    fn what_is_no_session_or_no_address_is_not_taken_for_one() {
        let node: NodeId = "node-1".parse().expect("a valid id");
        let mut odd = seen(10);
        odd.session.virtual_address = Some("2001:db8::2".to_owned());
        odd.session.virtual_address6 = Some("10.8.0.2".to_owned());
        odd.session.real_address = "somewhere".to_owned();
        odd.session.bytes_in = u64::MAX;
        let taken = row(&odd);
        assert_eq!(
            (
                taken.virtual_address,
                taken.virtual_address6,
                taken.real_ip,
                taken.bytes_in
            ),
            (None, None, None, i64::MAX)
        );
        assert_eq!(taken.real_address, "somewhere");

        let now = noon() - TimeDelta::days(1);
        assert!(told(&node, &seen(10), now).is_some());
        assert_eq!(told(&node, &seen(10), now - TimeDelta::seconds(1)), None);
        odd.session.cid = None;
        assert_eq!(told(&node, &odd, noon()), None);
        odd.session.cid = Some(u64::MAX);
        assert_eq!(told(&node, &odd, noon()), None);
    }

    #[test]
    fn a_session_ends_after_it_began_whatever_a_clock_says() {
        let taken = row(&ended(0, EndKind::Seen));
        assert_eq!(taken.ended_at, Some(noon() + TimeDelta::milliseconds(1)));
        let mut before = ended(10, EndKind::Assumed);
        before.seen_at = after(-100);
        before.ended = Some(Ended {
            at: after(-100),
            kind: EndKind::Assumed,
        });
        let taken = row(&before);
        let shortest = noon() + TimeDelta::milliseconds(1);
        assert_eq!((taken.seen_at, taken.ended_at), (shortest, Some(shortest)));
    }
}
