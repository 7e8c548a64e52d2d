//! Compares a look at who is connected with what was known before.

use std::{collections::BTreeMap, mem};

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_nats::{
    node_requests::LiveSession,
    sessions::{EndKind, Ended, SessionRecord},
};

use crate::backend::{Session, SessionKey};

/// The longest time between two looks after which an end between them counts as seen.
const WATCHED: TimeDelta = TimeDelta::seconds(5);
/// Between two reports of a session of which nothing changes but its bytes.
const PROGRESS: TimeDelta = TimeDelta::minutes(5);

/// The sessions whose end is not known.
#[derive(Debug)]
pub(super) struct OpenSessions {
    sessions: BTreeMap<SessionKey, Open>,
    /// The last look of this run of the agent.
    looked_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Open {
    record: SessionRecord,
    /// When it was last given to be reported.
    told_at: DateTime<Utc>,
}

impl OpenSessions {
    /// As an earlier run of the agent left them. Those that the first look does not find have ended unseen.
    pub(super) fn new(records: Vec<SessionRecord>, now: DateTime<Utc>) -> Self {
        let open = |record: SessionRecord| (key_of(&record), Open { record, told_at: now });
        Self {
            sessions: records.into_iter().map(open).collect(),
            looked_at: None,
        }
    }

    /// Takes a look that was made at the moment `now`, and gives what is to be reported: sessions that began, those whose addresses or
    /// client became known or changed, and those that ended. Sessions of certificates that are none of ours are left out.
    pub(super) fn observe(&mut self, look: Vec<Session>, now: DateTime<Utc>) -> Vec<SessionRecord> {
        let mut gone = mem::take(&mut self.sessions);
        let mut news = Vec::new();
        for session in look {
            let key = session.key();
            let Some(session) = session.live() else { continue };
            let (open, is_news) = match gone.remove(&key) {
                Some(known) => known.seen_again(session, now),
                None => (Open::first_seen(session, now), true),
            };
            if is_news {
                news.push(open.record.clone());
            }
            self.sessions.insert(key, open);
        }
        let is_watched = self.looked_at.is_some_and(|looked_at| now - looked_at <= WATCHED);
        let seen = is_watched.then_some(now);
        news.extend(gone.into_values().map(|open| ended(open.record, seen)));
        self.looked_at = Some(now);
        news
    }

    /// The sessions that live, and whether it is time to report how far they are.
    pub(super) fn living(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&SessionRecord, bool)> {
        self.sessions.values().map(move |open| (&open.record, open.is_due(now)))
    }

    /// Those whose time it was are given to be reported.
    pub(super) fn told(&mut self, now: DateTime<Utc>) {
        for open in self.sessions.values_mut() {
            if open.is_due(now) {
                open.told_at = now;
            }
        }
    }
}

impl Open {
    fn first_seen(session: LiveSession, now: DateTime<Utc>) -> Self {
        let seen_at = now.max(session.since);
        Self {
            record: SessionRecord {
                session,
                seen_at,
                ended: None,
            },
            told_at: now,
        }
    }

    /// What an earlier look, or an earlier run of the agent, knew of it stays known.
    fn seen_again(self, session: LiveSession, now: DateTime<Utc>) -> (Self, bool) {
        let known = self.record.session;
        let session = LiveSession {
            virtual_address: session.virtual_address.or_else(|| known.virtual_address.clone()),
            virtual_address6: session.virtual_address6.or_else(|| known.virtual_address6.clone()),
            client_version: session.client_version.or_else(|| known.client_version.clone()),
            client_platform: session.client_platform.or_else(|| known.client_platform.clone()),
            bytes_in: session.bytes_in.max(known.bytes_in),
            bytes_out: session.bytes_out.max(known.bytes_out),
            ..session
        };
        let is_news = who(&session) != who(&known);
        let seen = Self {
            record: SessionRecord {
                session,
                // The clock of the machine may be set back.
                seen_at: now.max(self.record.seen_at),
                ended: None,
            },
            told_at: if is_news { now } else { self.told_at },
        };
        (seen, is_news)
    }

    fn is_due(&self, now: DateTime<Utc>) -> bool {
        (now - self.told_at).abs() >= PROGRESS
    }
}

/// What names a session among those of its node.
pub(super) fn key_of(record: &SessionRecord) -> SessionKey {
    SessionKey {
        since: record.session.since,
        cid: record.session.cid.unwrap_or_default(),
    }
}

/// What is told of a session at once when it changes.
fn who(session: &LiveSession) -> [Option<&str>; 5] {
    [
        Some(session.real_address.as_str()),
        session.virtual_address.as_deref(),
        session.virtual_address6.as_deref(),
        session.client_version.as_deref(),
        session.client_platform.as_deref(),
    ]
}

/// The last record of a session that is gone. `seen`: the agent looked all the time, and this look is the first without it.
fn ended(record: SessionRecord, seen: Option<DateTime<Utc>>) -> SessionRecord {
    let (at, kind) = match seen {
        Some(now) => (now.max(record.seen_at), EndKind::Seen),
        None => (record.seen_at, EndKind::Assumed),
    };
    SessionRecord {
        seen_at: at,
        ended: Some(Ended { at, kind }),
        ..record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + second, 0).expect("a time")
    }

    fn session(cid: u64, bytes: u64) -> Session {
        Session {
            common_name: "alice.x".to_owned(),
            cid,
            real_address: "192.0.2.1:50000".to_owned(),
            virtual_address: "10.8.0.2".to_owned(),
            bytes_in: bytes,
            bytes_out: 2 * bytes,
            since: at(0),
            ..Session::default()
        }
    }

    /// In short: the number of the session, its bytes from the client, when it was seen, and how it ended.
    type Short = (u64, u64, DateTime<Utc>, Option<(DateTime<Utc>, EndKind)>);

    fn short(news: &[SessionRecord]) -> Vec<Short> {
        news.iter()
            .map(|record| {
                let SessionRecord {
                    session,
                    seen_at,
                    ended,
                } = record;
                let ended = ended.as_ref().map(|ended| (ended.at, ended.kind));
                (session.cid.expect("a number"), session.bytes_in, *seen_at, ended)
            })
            .collect()
    }

    fn nothing_known() -> OpenSessions {
        OpenSessions::new(Vec::new(), at(0))
    }

    #[test]
    fn a_session_is_told_when_it_begins_and_when_it_ends_and_not_between() {
        let mut open = nothing_known();

        assert_eq!(
            short(&open.observe(vec![session(1, 10)], at(1))),
            [(1, 10, at(1), None)]
        );
        assert!(open.observe(vec![session(1, 20)], at(2)).is_empty());
        assert_eq!(
            short(&open.observe(vec![], at(3))),
            [(1, 20, at(3), Some((at(3), EndKind::Seen)))]
        );
        assert!(open.observe(vec![], at(4)).is_empty());
    }

    #[test]
    fn an_end_counts_as_seen_after_a_gap_of_five_seconds_at_most() {
        for (gap, expected) in [(5, (at(6), EndKind::Seen)), (6, (at(1), EndKind::Assumed))] {
            let mut open = nothing_known();
            open.observe(vec![session(1, 10)], at(1));

            let news = open.observe(vec![], at(1 + gap));

            assert_eq!(short(&news), [(1, 10, expected.0, Some(expected))], "{gap} s");
        }
    }

    #[test]
    fn what_a_run_before_left_open_goes_on_or_has_ended_unseen() {
        let mut before = nothing_known();
        let left = before.observe(vec![session(1, 10), session(2, 20)], at(1));
        let mut open = OpenSessions::new(left, at(2));

        let news = open.observe(vec![session(2, 30)], at(2));

        assert_eq!(
            short(&news),
            [(1, 10, at(1), Some((at(1), EndKind::Assumed)))],
            "also when the gap was short"
        );
        assert_eq!(
            short(&open.observe(vec![], at(3))),
            [(2, 30, at(3), Some((at(3), EndKind::Seen)))]
        );
    }

    #[test]
    fn numbers_that_a_restarted_server_gives_again_are_other_sessions() {
        let mut open = nothing_known();
        open.observe(vec![session(0, 10)], at(1));
        let again = Session {
            since: at(3),
            ..session(0, 1)
        };

        let news = open.observe(vec![again], at(4));

        assert_eq!(
            short(&news),
            [(0, 1, at(4), None), (0, 10, at(4), Some((at(4), EndKind::Seen)))]
        );
    }

    #[test]
    fn what_becomes_known_is_told_and_stays_known() {
        let mut open = nothing_known();
        let bare = Session {
            virtual_address: String::new(),
            ..session(1, 10)
        };
        let known = Session {
            client_version: Some("2.6.14".to_owned()),
            client_platform: Some("linux".to_owned()),
            virtual_address6: "fd00:8::2".to_owned(),
            ..session(1, 10)
        };
        let elsewhere = Session {
            real_address: "192.0.2.9:50000".to_owned(),
            ..session(1, 10)
        };
        open.observe(vec![bare.clone()], at(1));

        let told = open.observe(vec![known], at(2));
        let forgotten = open.observe(vec![bare], at(3));
        let moved = open.observe(vec![elsewhere], at(4));

        let parts = |news: &[SessionRecord]| -> Vec<[Option<String>; 5]> {
            news.iter()
                .map(|record| who(&record.session).map(|part| part.map(str::to_owned)))
                .collect()
        };
        let all = |real_address: &str| {
            [real_address, "10.8.0.2", "fd00:8::2", "2.6.14", "linux"].map(|part| Some(part.to_owned()))
        };
        assert_eq!(parts(&told), [all("192.0.2.1:50000")]);
        assert!(forgotten.is_empty(), "{forgotten:?}");
        assert_eq!(parts(&moved), [all("192.0.2.9:50000")]);
    }

    #[test]
    fn bytes_and_times_never_go_down() {
        let mut open = nothing_known();
        open.observe(vec![session(1, 10)], at(100));
        open.observe(vec![session(1, 3)], at(40));

        let news = open.observe(vec![], at(41));

        assert_eq!(short(&news), [(1, 10, at(100), Some((at(100), EndKind::Seen)))]);
        let early = nothing_known().observe(vec![session(1, 0)], at(-9));
        assert_eq!(short(&early), [(1, 0, at(0), None)], "nothing is seen before it begins");
    }

    #[test]
    fn certificates_that_are_none_of_ours_are_left_out() {
        let stranger = Session {
            common_name: "not one of ours".to_owned(),
            ..session(1, 10)
        };
        assert!(nothing_known().observe(vec![stranger], at(1)).is_empty());
    }

    #[test]
    fn how_far_a_session_is_becomes_due_every_five_minutes() {
        let mut open = nothing_known();
        open.observe(vec![session(1, 10)], at(0));
        let due =
            |open: &OpenSessions, second| -> Vec<bool> { open.living(at(second)).map(|(_, is_due)| is_due).collect() };

        assert_eq!(due(&open, 299), [false]);
        assert_eq!(due(&open, 300), [true]);
        open.told(at(299));
        assert_eq!(due(&open, 300), [true], "it was not due yet");
        open.told(at(300));
        assert_eq!(due(&open, 599), [false]);
        assert_eq!(due(&open, -1), [true], "the clock was set back");
    }
}
