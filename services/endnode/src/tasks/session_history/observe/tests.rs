use chrono::{DateTime, Utc};

use super::*;
use crate::backend::Session;

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
        is_established: true,
        ..Session::default()
    }
}

/// The moments of a machine.
struct Clocks {
    start: Instant,
}

impl Clocks {
    fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// So many seconds after the start.
    fn after(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// The same. Nobody has set a clock.
    fn at(&self, seconds: u64) -> Moment {
        self.set(seconds, 0)
    }

    /// The same, where the clock was set meanwhile, by so many seconds.
    fn set(&self, seconds: u64, step: i64) -> Moment {
        Moment {
            time: at(i64::try_from(seconds).expect("a small number") + step),
            instant: self.after(seconds),
        }
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

/// Nothing is known of before.
fn nothing_known() -> (OpenSessions, Clocks) {
    let clocks = Clocks::start();
    (OpenSessions::new(Vec::new(), clocks.start), clocks)
}

#[test]
fn a_session_is_told_when_it_begins_and_when_it_ends_and_not_between() {
    let (mut open, clocks) = nothing_known();

    assert_eq!(
        short(&open.observe(vec![session(1, 10)].into(), clocks.at(1))),
        [(1, 10, at(1), None)]
    );
    assert!(open.observe(vec![session(1, 20)].into(), clocks.at(2)).is_empty());
    assert_eq!(
        short(&open.observe(Look::default(), clocks.at(3))),
        [(1, 20, at(3), Some((at(3), EndKind::Seen)))]
    );
    assert!(open.observe(Look::default(), clocks.at(4)).is_empty());
}

#[test]
fn an_end_counts_as_seen_after_a_gap_of_five_seconds_at_most() {
    let cases = [
        (5, (at(6), at(6), EndKind::Seen)),
        (6, (at(7), at(1), EndKind::Assumed)),
    ];
    for (gap, (seen_at, ended_at, kind)) in cases {
        let (mut open, clocks) = nothing_known();
        open.observe(vec![session(1, 10)].into(), clocks.at(1));

        let news = open.observe(Look::default(), clocks.at(1 + gap));

        assert_eq!(short(&news), [(1, 10, seen_at, Some((ended_at, kind)))], "{gap} s");
    }
}

#[test]
fn a_clock_that_is_set_makes_no_gap_and_hides_none() {
    const HOUR: i64 = 3600;
    let cases = [
        (1, HOUR, (at(2 + HOUR), at(2 + HOUR), EndKind::Seen)),
        (1, -HOUR, (at(1), at(1), EndKind::Seen)),
        (7200, -3 * HOUR, (at(1), at(1), EndKind::Assumed)),
        (7200, HOUR, (at(1 + 3 * HOUR), at(1), EndKind::Assumed)),
    ];
    for (gap, step, (seen_at, ended_at, kind)) in cases {
        let (mut open, clocks) = nothing_known();
        open.observe(vec![session(1, 10)].into(), clocks.at(1));

        let news = open.observe(Look::default(), clocks.set(1 + gap, step));

        assert_eq!(
            short(&news),
            [(1, 10, seen_at, Some((ended_at, kind)))],
            "a gap of {gap} s, a step of {step} s"
        );
    }
}

#[test]
fn a_session_begins_when_its_client_is_let_in() {
    let (mut open, clocks) = nothing_known();
    let dialled = Session {
        virtual_address: String::new(),
        is_established: false,
        ..session(1, 10)
    };
    let refused = Session {
        cid: 2,
        ..dialled.clone()
    };

    assert!(
        open.observe(vec![dialled.clone(), refused].into(), clocks.at(1))
            .is_empty()
    );
    assert_eq!(open.living(clocks.after(1)).count(), 0);
    assert_eq!(
        short(&open.observe(vec![session(1, 20)].into(), clocks.at(2))),
        [(1, 20, at(2), None)],
        "who was refused has gone as nobody"
    );
    // The agent started anew, and heard of no login: what is known of it stays known.
    assert!(open.observe(vec![dialled].into(), clocks.at(3)).is_empty());
    assert_eq!(
        short(&open.observe(Look::default(), clocks.at(4))),
        [(1, 20, at(4), Some((at(4), EndKind::Seen)))]
    );
}

#[test]
fn what_a_run_before_left_open_goes_on_or_has_ended_unseen() {
    let (mut before, clocks) = nothing_known();
    let left = before.observe(vec![session(1, 10), session(2, 20)].into(), clocks.at(1));
    let mut open = OpenSessions::new(left, clocks.after(2));

    let news = open.observe(vec![session(2, 30)].into(), clocks.at(2));

    assert_eq!(
        short(&news),
        [(1, 10, at(2), Some((at(1), EndKind::Assumed)))],
        "between the two, also when the gap was short"
    );
    assert_eq!(
        short(&open.observe(Look::default(), clocks.at(3))),
        [(2, 30, at(3), Some((at(3), EndKind::Seen)))]
    );
}

#[test]
fn numbers_that_a_restarted_server_gives_again_are_other_sessions() {
    let (mut open, clocks) = nothing_known();
    open.observe(vec![session(0, 10)].into(), clocks.at(1));
    let again = Session {
        since: at(3),
        ..session(0, 1)
    };

    let news = open.observe(vec![again].into(), clocks.at(4));

    assert_eq!(
        short(&news),
        [(0, 1, at(4), None), (0, 10, at(4), Some((at(4), EndKind::Seen)))]
    );
}

#[test]
fn what_becomes_known_is_told_and_stays_known() {
    let (mut open, clocks) = nothing_known();
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
    open.observe(vec![bare.clone()].into(), clocks.at(1));

    let told = open.observe(vec![known].into(), clocks.at(2));
    let forgotten = open.observe(vec![bare].into(), clocks.at(3));
    let moved = open.observe(vec![elsewhere].into(), clocks.at(4));

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
    let (mut open, clocks) = nothing_known();
    open.observe(vec![session(1, 10)].into(), clocks.at(100));
    open.observe(vec![session(1, 3)].into(), clocks.set(101, -60));

    let news = open.observe(Look::default(), clocks.set(102, -60));

    assert_eq!(short(&news), [(1, 10, at(100), Some((at(100), EndKind::Seen)))]);
    let (mut open, clocks) = nothing_known();
    let early = open.observe(vec![session(1, 0)].into(), clocks.set(0, -9));
    assert_eq!(short(&early), [(1, 0, at(0), None)], "nothing is seen before it begins");
}

#[test]
fn certificates_that_are_none_of_ours_are_left_out() {
    let (mut open, clocks) = nothing_known();
    let stranger = Session {
        common_name: "not one of ours".to_owned(),
        ..session(1, 10)
    };
    assert!(open.observe(vec![stranger].into(), clocks.at(1)).is_empty());
}

#[test]
fn how_far_a_session_is_becomes_due_every_five_minutes() {
    let (mut open, clocks) = nothing_known();
    open.observe(vec![session(1, 10)].into(), clocks.at(0));
    let due = |open: &OpenSessions, second| -> Vec<bool> {
        open.living(clocks.after(second)).map(|(_, is_due)| is_due).collect()
    };

    assert_eq!(due(&open, 299), [false]);
    assert_eq!(due(&open, 300), [true]);
    open.told(clocks.after(299));
    assert_eq!(due(&open, 300), [true], "it was not due yet");
    open.told(clocks.after(300));
    assert_eq!(due(&open, 599), [false]);
}

#[test]
fn a_session_that_transfers_much_is_weighed_every_five_seconds() {
    const ENOUGH: u64 = METERED_BYTES;
    let (mut open, clocks) = nothing_known();
    // As many bytes in both directions together.
    let transferred = |bytes: u64| Session {
        bytes_in: bytes / 2,
        bytes_out: bytes / 2,
        ..session(1, 0)
    };
    let busy = |open: &mut OpenSessions, second| open.busy(clocks.after(second)).len();
    open.observe(vec![transferred(0)].into(), clocks.at(0));

    open.observe(vec![transferred(ENOUGH - 2)].into(), clocks.at(6));
    assert_eq!(busy(&mut open, 6), 0, "too little");
    open.observe(vec![transferred(ENOUGH)].into(), clocks.at(7));
    assert_eq!(busy(&mut open, 7), 1);
    assert_eq!([busy(&mut open, 11), busy(&mut open, 12)], [0, 1], "it was not told");
    open.told_of([session(1, 0).key()], clocks.after(12));
    open.observe(vec![transferred(2 * ENOUGH)].into(), clocks.at(16));
    assert_eq!(busy(&mut open, 16), 0, "too early");
    assert_eq!(busy(&mut open, 17), 1);
    let moved = Session {
        real_address: "192.0.2.9:50000".to_owned(),
        ..transferred(2 * ENOUGH)
    };
    open.observe(vec![moved].into(), clocks.at(18));
    assert_eq!(busy(&mut open, 60), 0, "all of it was told with the address");
}

/// Those of the second of two servers, which could not be asked, have these numbers.
fn second_unasked(sessions: &[Session]) -> Look {
    let second = 100..200;
    Look {
        sessions: sessions.to_vec(),
        unasked: vec![second],
    }
}

#[test]
fn while_a_server_cannot_be_asked_nobody_has_left_there_and_others_come_and_go() {
    let (mut open, clocks) = nothing_known();
    open.observe(vec![session(1, 10), session(101, 10)].into(), clocks.at(1));

    let news = open.observe(second_unasked(&[session(2, 5), session(101, 99)]), clocks.at(2));

    assert_eq!(
        short(&news),
        [(2, 5, at(2), None), (1, 10, at(2), Some((at(2), EndKind::Seen)))]
    );
    // Nothing is known of it, not even who was there.
    assert!(open.observe(second_unasked(&[session(2, 6)]), clocks.at(8)).is_empty());
    assert_eq!(open.living(clocks.after(8)).count(), 2);

    let news = open.observe(vec![session(2, 7)].into(), clocks.at(9));

    assert_eq!(
        short(&news),
        [(101, 10, at(9), Some((at(1), EndKind::Assumed)))],
        "as it was when it was seen"
    );
}

#[test]
fn what_a_run_before_left_on_a_server_that_cannot_be_asked_goes_on() {
    let (mut before, clocks) = nothing_known();
    let left = before.observe(vec![session(1, 10), session(101, 20)].into(), clocks.at(1));
    let mut open = OpenSessions::new(left, clocks.after(2));

    let news = open.observe(second_unasked(&[]), clocks.at(2));

    assert_eq!(short(&news), [(1, 10, at(2), Some((at(1), EndKind::Assumed)))]);
    assert!(open.observe(vec![session(101, 30)].into(), clocks.at(3)).is_empty());
    assert_eq!(
        short(&open.observe(Look::default(), clocks.at(4))),
        [(101, 30, at(4), Some((at(4), EndKind::Seen)))]
    );
}

#[test]
fn what_a_run_before_left_open_is_weighed_with_all_its_bytes() {
    let (mut before, clocks) = nothing_known();
    let left = before.observe(vec![session(1, METERED_BYTES)].into(), clocks.at(1));
    let mut open = OpenSessions::new(left, clocks.after(2));
    open.observe(vec![session(1, METERED_BYTES)].into(), clocks.at(3));

    assert_eq!([6, 7].map(|second| open.busy(clocks.after(second)).len()), [0, 1]);
}
