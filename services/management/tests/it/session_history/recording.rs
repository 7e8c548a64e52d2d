//! What reports make of a row.

use chrono::{TimeDelta, Utc};
use sea_orm::{ActiveValue::Set, EntityTrait as _};
use vpnmanager_entities::{agent_run, user};
use vpnmanager_management::{
    domain::session_room::{PACE, Pace, SessionRoom},
    ops::sessions::record_sessions::record_sessions,
};
use vpnmanager_nats::{
    node_requests::LiveSession,
    sessions::{EndKind, Ended, SessionRecord},
};

use super::{alive, at, began, credential_of, ended, report, rows, tell, unhurried};
use crate::database::{number, run};
use crate::ops::{enrol, node};
use crate::stack::Stack;

#[tokio::test]
async fn a_session_is_one_row_from_its_start_to_its_end() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let session = began(&alice, 7, 0);

    tell(&stack, "node-1", &[alive(&session, 1, 0)]).await;
    let first = rows(&stack).await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].username.as_ref().map(|name| name.as_str()), Some("alice"));
    assert_eq!(first[0].device.as_ref().map(|device| device.as_str()), Some("default"));
    assert_eq!(first[0].real_ip, Some("192.0.2.1".parse().expect("an address")));
    assert_eq!(first[0].virtual_address, Some("10.8.0.2".parse().expect("an address")));
    assert_eq!((first[0].seen_at, first[0].ended_at), (at(1), None));

    tell(&stack, "node-1", &[alive(&session, 300, 50)]).await;
    tell(&stack, "node-1", &[ended(&session, 400, 60)]).await;

    let last = rows(&stack).await;
    assert_eq!(last.len(), 1);
    assert_eq!((last[0].bytes_in, last[0].bytes_out), (60, 120));
    assert_eq!(
        (last[0].ended_at, last[0].end_kind, last[0].seen_at),
        (Some(at(400)), Some(EndKind::Seen), at(400))
    );
    assert_eq!(last[0].user_id, first[0].user_id);
}

/// An agent that went back to an older release does not say it. A row is written as a whole, so it keeps what `follow` keeps.
#[tokio::test]
async fn the_listener_of_a_session_stays_once_it_was_told() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let silent = began(&alice, 7, 0);
    let listener = "tcp:443".parse().ok();
    let telling = LiveSession {
        listener,
        ..silent.clone()
    };
    let mut found = Vec::new();

    for record in [
        alive(&silent, 1, 0),
        alive(&telling, 100, 10),
        alive(&silent, 200, 20),
        ended(&silent, 400, 60),
    ] {
        tell(&stack, "node-1", &[record]).await;
        let row = rows(&stack).await.remove(0);
        found.push((row.bytes_in, row.listener));
    }

    assert_eq!(found, [(0, None), (10, listener), (20, listener), (60, listener)]);
}

#[tokio::test]
async fn what_comes_twice_or_late_changes_nothing_and_counts_nothing() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let session = began(&alice, 7, 0);
    let assumed = SessionRecord {
        ended: Some(Ended {
            at: at(900),
            kind: EndKind::Assumed,
        }),
        ..alive(&session, 900, 90)
    };

    // In one report, in one batch, and one after the other.
    tell(&stack, "node-1", &[ended(&session, 400, 60), alive(&session, 300, 50)]).await;
    let first = rows(&stack).await;
    let late = [
        report("node-1", &[alive(&session, 300, 50)]),
        report("node-1", &[ended(&session, 400, 60), assumed]),
        report("node-1", &[alive(&session, 1, 0)]),
    ];
    record_sessions(&stack.app.db, &mut unhurried(), &late)
        .await
        .expect("recorded");

    assert_eq!(rows(&stack).await, first);
    assert_eq!(
        (first[0].bytes_in, first[0].ended_at, first[0].end_kind),
        (60, Some(at(400)), Some(EndKind::Seen))
    );
    let counted = "SELECT sum(bytes_in) * 1000 + sum(sessions) FROM traffic_days";
    assert_eq!(number(&stack.app.db, counted).await, 60_001);
}

/// A node may tell of its sessions as often as it likes. What becomes known, and the end, are written at once.
#[tokio::test]
async fn how_far_a_session_is_is_written_once_a_minute() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let session = began(&alice, 7, 0);
    let mut room = SessionRoom::default();
    let mut hurried = async |record: SessionRecord| -> i64 {
        let reports = [report("node-1", &[record])];
        let recorded = record_sessions(&stack.app.db, &mut room, &reports).await;
        recorded.expect("recorded");
        rows(&stack).await[0].bytes_in
    };
    assert_eq!(hurried(alive(&session, 1, 10)).await, 10);
    let elsewhere = LiveSession {
        real_address: "198.51.100.9:9".to_owned(),
        ..session.clone()
    };
    assert_eq!(hurried(alive(&elsewhere, 2, 20)).await, 10, "it only goes on");
    let known = LiveSession {
        virtual_address6: Some("fd00:8::9".to_owned()),
        ..session.clone()
    };
    assert_eq!(hurried(alive(&known, 3, 30)).await, 30, "an address became known");
    let passed = "UPDATE sessions SET recorded_at = recorded_at - interval '1 minute'";
    assert_eq!(hurried(alive(&known, 4, 40)).await, 30);
    run(&stack.app.db, passed).await;
    assert_eq!(hurried(alive(&known, 5, 50)).await, 50, "a minute passed");
    assert_eq!(hurried(ended(&known, 6, 60)).await, 60, "it ended");
}

#[tokio::test]
async fn whose_session_began_and_lives_is_said_once() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let (alice, bob) = (credential_of(&stack, "alice").await, credential_of(&stack, "bob").await);
    let user_of = async |username: &str| {
        let id = format!("SELECT id FROM users WHERE username = '{username}'");
        number(&stack.app.db, &id).await
    };
    let (hers, his) = (began(&alice, 7, 0), began(&bob, 8, 0));
    let connected = async |records: &[SessionRecord]| {
        let reports = [report("node-1", records)];
        let recorded = record_sessions(&stack.app.db, &mut unhurried(), &reports).await;
        recorded.expect("recorded").connected.into_iter().collect::<Vec<i64>>()
    };

    // He has left before management heard of him.
    assert_eq!(
        connected(&[alive(&hers, 1, 0), ended(&his, 60, 0)]).await,
        [user_of("alice").await]
    );
    assert!(connected(&[alive(&hers, 90, 5)]).await.is_empty());
}

/// Only by these users is judged. So a thief who repeats reports, or tells of the credentials of others, has nobody judged.
#[tokio::test]
async fn to_whose_traffic_something_was_added_is_said_each_time() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let (alice, bob) = (credential_of(&stack, "alice").await, credential_of(&stack, "bob").await);
    let user_of = async |username: &str| {
        let id = format!("SELECT id FROM users WHERE username = '{username}'");
        number(&stack.app.db, &id).await
    };
    let (hers, his) = (began(&alice, 7, 0), began(&bob, 8, 0));
    let foreign = began(&"carol.aaaaaaaaaaaaaaaa".parse().expect("a name"), 9, 0);
    let transferred = async |records: &[SessionRecord]| {
        let reports = [report("node-1", records)];
        let recorded = record_sessions(&stack.app.db, &mut unhurried(), &reports).await;
        recorded
            .expect("recorded")
            .transferred
            .into_iter()
            .collect::<Vec<i64>>()
    };
    let (alice, bob) = (user_of("alice").await, user_of("bob").await);

    assert_eq!(transferred(&[alive(&hers, 1, 0), alive(&his, 1, 5)]).await, [bob]);
    for _again in 0..2 {
        let nobody = transferred(&[alive(&his, 1, 5), alive(&foreign, 1, 5), alive(&hers, 2, 0)]).await;
        assert!(nobody.is_empty(), "{nobody:?}");
    }
    assert_eq!(
        transferred(&[alive(&hers, 3, 1), ended(&his, 3, 6)]).await,
        [alice, bob]
    );
}

#[tokio::test]
async fn replicas_that_hear_of_one_session_at_once_count_each_byte_once() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let session = began(&alice, 7, 0);
    let told: Vec<_> = (1..=8_u32)
        .map(|minute| {
            [report(
                "node-1",
                &[alive(&session, i64::from(minute) * 60, u64::from(minute) * 10)],
            )]
        })
        .collect();

    let db = &stack.app.db;
    let recording = told.iter().map(|reports| async move {
        record_sessions(db, &mut unhurried(), reports).await.expect("recorded");
    });
    futures_util::future::join_all(recording).await;

    let rows = rows(&stack).await;
    assert_eq!((rows.len(), rows[0].bytes_in, rows[0].bytes_out), (1, 80, 160));
    let counted = "SELECT sum(bytes_in) * 1000 + sum(sessions) FROM traffic_days";
    assert_eq!(number(&stack.app.db, counted).await, 80_001);
}

#[tokio::test]
async fn what_counts_against_an_own_quota_is_written_as_soon_as_what_counts_against_that_of_a_group() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let session = began(&alice, 7, 0);
    let mut room = SessionRoom::default();
    let mut passed = async |bytes: u64| -> i64 {
        let earlier = "UPDATE sessions SET recorded_at = recorded_at - interval '10 seconds'";
        run(&stack.app.db, earlier).await;
        let reports = [report("node-1", &[alive(&session, 1, bytes)])];
        let recorded = record_sessions(&stack.app.db, &mut room, &reports).await;
        recorded.expect("recorded");
        rows(&stack).await[0].bytes_in
    };
    assert_eq!(passed(10).await, 10);
    assert_eq!(passed(20).await, 10, "she has no quota");
    let own = "UPDATE users SET own_traffic_bytes = 1000000, own_traffic_period = 'none', own_traffic_reset_day = 1";
    run(&stack.app.db, own).await;
    assert_eq!(passed(30).await, 30);
}

#[tokio::test]
async fn how_far_a_session_is_that_counts_against_a_quota_is_written_every_few_seconds_within_the_room_of_its_node() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let session = began(&alice, 7, 0);
    let mut room = SessionRoom::new(Pace {
        metered_at_once: 2,
        metered_per_hour: 1,
        ..PACE
    });
    let mut passed = async |seconds: u32, bytes: u64| -> i64 {
        let earlier = format!("UPDATE sessions SET recorded_at = recorded_at - interval '{seconds} seconds'");
        run(&stack.app.db, &earlier).await;
        let reports = [report("node-1", &[alive(&session, 1, bytes)])];
        let recorded = record_sessions(&stack.app.db, &mut room, &reports).await;
        recorded.expect("recorded");
        rows(&stack).await[0].bytes_in
    };
    assert_eq!(passed(0, 10).await, 10);
    assert_eq!(passed(10, 20).await, 10, "the group has no quota");
    run(&stack.app.db, "UPDATE groups SET traffic_bytes = 1000000").await;
    assert_eq!(passed(10, 30).await, 30);
    assert_eq!(passed(1, 40).await, 30, "too early");
    assert_eq!(passed(10, 50).await, 50);
    assert_eq!(passed(10, 60).await, 50, "the node has no room left");
    assert_eq!(passed(60, 70).await, 70, "a minute passed");
}

#[tokio::test]
async fn a_clone_tells_of_no_session() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let told = report("node-1", &[alive(&began(&alice, 7, 0), 1, 0)]);
    let now = Utc::now();
    let clone = agent_run::ActiveModel {
        server_id: Set(node("node-1")),
        instance: Set(told.instance),
        first_heard: Set(now),
        last_heard: Set(now),
        last_sent: Set(now),
        previous_sent: Set(now),
        offset_us: Set(0),
        refused: Set(true),
        ..Default::default()
    };
    agent_run::Entity::insert(clone)
        .exec_without_returning(&stack.app.db)
        .await
        .expect("stored");

    record_sessions(&stack.app.db, &mut unhurried(), &[told])
        .await
        .expect("recorded");

    assert!(rows(&stack).await.is_empty());
}

async fn last_access(stack: &Stack) -> Option<chrono::DateTime<Utc>> {
    let users = user::Entity::find().all(&stack.app.db).await.expect("read");
    users[0].last_access
}

#[tokio::test]
async fn the_last_access_of_a_user_follows_the_sessions_and_never_goes_back() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let (session, other) = (began(&alice, 7, 0), began(&alice, 8, 30));

    tell(&stack, "node-1", &[alive(&session, 1, 0)]).await;
    assert_eq!(last_access(&stack).await, Some(at(1)), "it began");
    tell(&stack, "node-1", &[alive(&session, 40, 1)]).await;
    assert_eq!(last_access(&stack).await, Some(at(1)), "once in a minute");
    tell(&stack, "node-1", &[alive(&session, 200, 2)]).await;
    assert_eq!(last_access(&stack).await, Some(at(200)));
    tell(&stack, "node-1", &[ended(&other, 40, 2)]).await;
    assert_eq!(last_access(&stack).await, Some(at(200)), "never back");
    tell(&stack, "node-1", &[ended(&session, 210, 2)]).await;
    assert_eq!(last_access(&stack).await, Some(at(210)), "it ended");

    let mut ahead = alive(&began(&alice, 9, 0), 1, 0);
    ahead.seen_at = Utc::now() + TimeDelta::days(400);
    tell(&stack, "node-1", &[ahead]).await;
    let noted = last_access(&stack).await.expect("a time");
    assert!(noted <= Utc::now() + TimeDelta::seconds(1), "{noted}");

    run(&stack.app.db, "UPDATE users SET last_access = NULL, removed_at = now()").await;
    tell(&stack, "node-1", &[alive(&began(&alice, 10, 60), 61, 0)]).await;
    assert_eq!(last_access(&stack).await, None, "she is removed");
}
