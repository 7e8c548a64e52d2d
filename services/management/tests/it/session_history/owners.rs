//! Of whose sessions a node may tell.

use chrono::{TimeDelta, Utc};
use vpnmanager_management::{
    domain::session_room::{PACE, Pace, SessionRoom},
    ops::sessions::record_sessions::record_sessions,
};
use vpnmanager_nats::{ids::CommonName, sessions::SessionRecord};

use super::{alive, began, credential_of, ended, report, rows, tell, unhurried};
use crate::database::{number, run};
use crate::ops::enrol;
use crate::stack::Stack;

/// Users are on node-1 alone.
async fn two_nodes() -> Stack {
    let stack = Stack::start_with(&[("PLACEMENT_REPLICAS", "1")]).await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    run(
        &stack.app.db,
        "UPDATE servers SET enabled = false WHERE name = 'node-2'",
    )
    .await;
    stack
}

#[tokio::test]
async fn a_node_begins_sessions_of_its_own_users_only() {
    let stack = two_nodes().await;
    let alice = credential_of(&stack, "alice").await;
    let nobody: CommonName = "mallory.x".parse().expect("a name");
    let of_alice = alive(&began(&alice, 7, 0), 1, 5);

    tell(&stack, "node-2", std::slice::from_ref(&of_alice)).await;
    tell(&stack, "node-1", &[alive(&began(&nobody, 1, 0), 1, 0)]).await;
    assert!(rows(&stack).await.is_empty());
    assert_eq!(number(&stack.app.db, "SELECT count(*) FROM traffic_days").await, 0);
    assert_eq!(
        number(
            &stack.app.db,
            "SELECT count(*) FROM users WHERE last_access IS NOT NULL"
        )
        .await,
        0
    );

    tell(&stack, "node-1", &[of_alice]).await;
    assert_eq!(rows(&stack).await.len(), 1);
}

#[tokio::test]
async fn a_node_tells_of_a_user_who_is_being_taken_off_it() {
    let stack = two_nodes().await;
    let alice = credential_of(&stack, "alice").await;
    run(
        &stack.app.db,
        "UPDATE placements SET wanted_present = false; UPDATE credentials SET server_id = 'node-2'",
    )
    .await;
    tell(&stack, "node-1", &[alive(&began(&alice, 7, 0), 1, 0)]).await;
    assert_eq!(rows(&stack).await.len(), 1);
}

#[tokio::test]
async fn the_sessions_of_a_user_who_is_gone_end_and_those_that_nobody_knew_have_no_name() {
    let stack = two_nodes().await;
    let alice = credential_of(&stack, "alice").await;
    let (known, unknown) = (began(&alice, 7, 0), began(&alice, 8, 10));
    tell(&stack, "node-1", &[alive(&known, 1, 5)]).await;
    run(&stack.app.db, "DELETE FROM users").await;

    tell(&stack, "node-1", &[ended(&known, 60, 9), ended(&unknown, 60, 100)]).await;
    tell(&stack, "node-2", &[ended(&began(&alice, 9, 20), 60, 100)]).await;

    let rows = rows(&stack).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.cid, row.username.as_ref().map(|name| name.as_str()), row.bytes_in))
        .collect();
    assert_eq!(told, [(7, Some("alice"), 9), (8, None, 100)]);
    assert!(rows.iter().all(|row| row.ended_at.is_some()));
    let bytes = number(&stack.app.db, "SELECT sum(bytes_in) FROM traffic_days").await;
    assert_eq!(bytes, 9, "of the session whose user was known");
}

#[tokio::test]
async fn what_is_no_session_is_left_out_and_the_others_are_not() {
    let stack = two_nodes().await;
    let alice = credential_of(&stack, "alice").await;
    let good = alive(&began(&alice, 7, 0), 1, 0);
    let mut unnumbered = good.clone();
    unnumbered.session.cid = None;
    let mut later = good.clone();
    later.session.cid = Some(8);
    later.session.since = Utc::now() + TimeDelta::days(2);

    tell(&stack, "node-1", &[unnumbered, later, good]).await;

    let rows = rows(&stack).await;
    assert_eq!(rows.iter().map(|row| row.cid).collect::<Vec<_>>(), [7]);
}

#[tokio::test]
async fn a_node_begins_no_more_sessions_than_it_has_room_for_and_its_others_go_on() {
    let stack = two_nodes().await;
    let alice = credential_of(&stack, "alice").await;
    let sessions: Vec<_> = (0..3).map(|cid| began(&alice, cid, 0)).collect();
    let mut room = SessionRoom::new(Pace {
        at_once: 2,
        per_hour: 2,
        progress: TimeDelta::zero(),
        ..PACE
    });
    let bytes = async || -> Vec<i64> { rows(&stack).await.iter().map(|row| row.bytes_in).collect() };
    let tell = async |room: &mut SessionRoom, records: &[SessionRecord]| {
        // The newest one has room before the others.
        let reports = [report("node-1", &records[2..]), report("node-1", records)];
        let recorded = record_sessions(&stack.app.db, room, &reports).await;
        recorded.expect("recorded").come_again.into_iter().collect::<Vec<_>>()
    };
    for count in [10, 20] {
        let records: Vec<_> = sessions.iter().map(|session| alive(session, 5, count)).collect();
        assert_eq!(tell(&mut room, &records).await, [1], "it comes again");
    }
    assert_eq!(bytes().await, [20, 20]);

    let records: Vec<_> = sessions.iter().map(|session| alive(session, 5, 20)).collect();
    let none: [usize; 0] = [];
    assert_eq!(tell(&mut unhurried(), &records).await, none);
    assert_eq!(bytes().await, [20, 20, 20]);
}

#[tokio::test]
async fn a_session_stays_that_of_the_credential_that_it_began_with() {
    let stack = two_nodes().await;
    let (alice, bob) = (credential_of(&stack, "alice").await, credential_of(&stack, "bob").await);
    let (hers, his) = (began(&alice, 7, 0), began(&bob, 7, 0));

    tell(&stack, "node-1", &[alive(&hers, 1, 5), ended(&his, 60, 50)]).await;
    let first = rows(&stack).await;
    assert_eq!((first.len(), first[0].bytes_in, first[0].ended_at), (1, 5, None));
    assert_eq!(first[0].common_name, alice);

    tell(&stack, "node-1", &[ended(&his, 60, 50)]).await;
    assert_eq!(rows(&stack).await, first);
    let bytes = number(&stack.app.db, "SELECT sum(bytes_in) FROM traffic_days").await;
    assert_eq!(bytes, 5);
    let seen = "SELECT count(*) FROM users WHERE username = 'bob' AND last_access IS NOT NULL";
    assert_eq!(number(&stack.app.db, seen).await, 0);

    tell(&stack, "node-1", &[ended(&hers, 60, 6)]).await;
    assert_eq!(rows(&stack).await[0].bytes_in, 6);
}
