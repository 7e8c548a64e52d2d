//! Who was connected: from the journal to management.

use std::{path::Path, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_endnode::journal::{Journal, NotedSession, UnreportedSession};
use vpnmanager_nats::{
    ids::CommonName,
    node_requests::LiveSession,
    sessions::{EndKind, Ended, MOST_RECORDS, SessionRecord},
};
use vpnmanager_runtime::tasks::Tasks;
use vpnmanager_testbed::wait;

use crate::{
    bus::fleet,
    fake_management::{DEADLINE, FakeManagement},
    parts::Parts,
    sessions::ended,
};

#[tokio::test]
async fn a_record_that_changes_while_it_is_on_its_way_is_reported_again() {
    let parts = Parts::new();
    let put = async |record: SessionRecord| {
        let noted = vec![NotedSession::progress(&record).unwrap()];
        parts
            .journal
            .write(move |records| records.put_sessions(&noted))
            .await
            .unwrap()
    };
    let first = record(7, None);
    let noted = vec![NotedSession::news(&first).unwrap()];
    parts
        .journal
        .write(move |records| records.put_sessions(&noted))
        .await
        .unwrap();
    let unreported = async || {
        parts
            .journal
            .read(|records| records.unreported_sessions(10))
            .await
            .unwrap()
    };
    let reported = async |sessions: Vec<UnreportedSession>| {
        parts
            .journal
            .write(move |records| records.sessions_reported(&sessions))
            .await
            .unwrap();
    };
    let on_their_way = unreported().await;
    let mut second = first.clone();
    second.session.bytes_in += 1;

    put(second.clone()).await;
    reported(on_their_way).await;

    let again = unreported().await;
    assert_eq!(
        again.iter().map(|session| &session.record).collect::<Vec<_>>(),
        [&second]
    );
    reported(again).await;
    assert!(unreported().await.is_empty());
    assert_eq!(
        parts.journal.read(|records| records.open_sessions()).await.unwrap(),
        [second]
    );
}

#[tokio::test]
async fn an_ended_session_does_not_change_and_the_oldest_are_forgotten_beyond_the_bound() {
    let parts = Parts::new();
    let mut noted: Vec<NotedSession> = (0..10)
        .map(|cid| NotedSession::news(&record(cid, ended(moment(), EndKind::Seen))).unwrap())
        .collect();
    noted.push(NotedSession::news(&record(0, None)).unwrap());
    noted.push(NotedSession::news(&record(10, None)).unwrap());

    let forgotten = parts.journal.write(move |records| {
        records.put_sessions(&noted)?;
        records.forget_ended_sessions(3)
    });

    assert_eq!(forgotten.await.unwrap(), 7);
    let left = parts
        .journal
        .read(|records| records.unreported_sessions(100))
        .await
        .unwrap();
    let left: Vec<(Option<u64>, bool)> = left
        .iter()
        .map(|session| (session.record.session.cid, session.record.ended.is_some()))
        .collect();
    assert_eq!(left, [7, 8, 9, 10].map(|cid| (Some(cid), cid < 10)), "who lives stays");
}

#[tokio::test]
async fn what_a_killed_agent_left_open_reaches_management_once_the_bus_is_back() {
    let (management, mut agent) = fleet().await;
    agent.kill().await;
    let expected = MOST_RECORDS as u64 + 10;
    leave_open(&agent.dir.join("journal.db"), expected).await;
    let began = Utc::now();
    let mut server = management.bus.lock().unwrap().take().unwrap();
    server.kill().await;
    agent.start().await;
    let closed = async || {
        agent
            .log()
            .contains("the bus is not connected, reports of sessions wait")
    };
    wait::until(DEADLINE, "reports that wait", closed)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));

    server.restart().await.unwrap();

    all_arrived(&management, expected).await;
    let sessions = management.script().sessions.clone();
    for session in &sessions {
        assert_eq!(session.ended, ended(moment(), EndKind::Assumed), "{session:?}");
        assert_eq!(session.session.bytes_in, 4321);
        assert!(session.seen_at >= began, "when the new agent saw it: {session:?}");
    }
    let journal = agent.dir.join("journal.db");
    let forgotten = async || {
        let journal = rusqlite::Connection::open(&journal).unwrap();
        let left = journal.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0));
        let left: i64 = left.unwrap();
        if left == 0 { Ok(()) } else { Err(left) }
    };
    wait::until_ok(DEADLINE, "the journal to forget what was reported", forgotten)
        .await
        .unwrap();
    drop(server);
}

/// As an agent leaves them that dies while clients are connected.
async fn leave_open(path: &Path, sessions: u64) {
    let tasks = Tasks::new();
    let journal = Journal::open(path, &tasks).unwrap();
    let open: Vec<NotedSession> = (0..sessions)
        .map(|cid| NotedSession::progress(&record(cid, None)).unwrap())
        .collect();
    journal.write(move |records| records.put_sessions(&open)).await.unwrap();
    drop(journal);
    tasks.stop();
    tasks.wait(Duration::from_secs(5)).await.unwrap();
}

async fn all_arrived(management: &FakeManagement, expected: u64) {
    let arrived = async || {
        let script = management.script();
        let mut numbers: Vec<u64> = script.sessions.iter().filter_map(|record| record.session.cid).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.iter().copied().eq(0..expected) {
            Ok(())
        } else {
            Err(format!("{numbers:?}"))
        }
    };
    wait::until_ok(DEADLINE, "each session to be reported", arrived)
        .await
        .unwrap();
}

fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn record(cid: u64, ended: Option<Ended>) -> SessionRecord {
    let common_name: CommonName = "alice.x".parse().unwrap();
    SessionRecord {
        session: LiveSession {
            common_name,
            cid: Some(cid),
            real_address: "192.0.2.1:50000".to_owned(),
            virtual_address: Some("10.8.0.2".to_owned()),
            virtual_address6: None,
            bytes_in: 4321,
            bytes_out: 1234,
            since: moment() - TimeDelta::seconds(9),
            listener: None,
            client_version: None,
            client_platform: None,
        },
        seen_at: moment(),
        ended,
    }
}
