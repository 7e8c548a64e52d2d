//! Which sessions count.

use vpnmanager_management::ops::sessions::find_crowded::find_crowded;

use super::{Alice, alice, all_heard, beyond, limited, record, session};
use crate::database::{number, run};
use crate::ops::{create, enrol};
use crate::stack::Stack;

/// Two nodes that are heard, and alice, whose group allows one device. Nothing happens by itself.
async fn at_rest() -> (Stack, Alice) {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let alice = alice(&stack).await;
    create(&stack, "bob").await;
    limited(&stack, 1, "oldest_ends").await;
    stack.end_tasks().await;
    all_heard(&stack).await;
    (stack, alice)
}

const AS_BEFORE: &str = "
    UPDATE servers SET state = 'healthy', last_seen = now() + interval '1 hour', leaving_since = NULL, leaving_for = NULL,
        journal_lost_at = NULL, draining = false;
    UPDATE sessions SET recorded_at = now(), end_asked_at = NULL, end_answered_at = NULL;
    UPDATE credentials SET revoked_at = NULL;
    UPDATE placements SET wanted_present = true;
    UPDATE users SET removed_at = NULL;
    UPDATE users SET group_name = 'staff' WHERE username = 'alice';
    UPDATE groups SET session_excess = 'oldest_ends' WHERE name = 'staff'";

/// What nobody closes must not throw anybody out.
#[tokio::test]
async fn only_what_is_known_to_be_there_counts() {
    let (stack, alice) = at_rest().await;
    record(&stack, "node-1", &session(&alice.default, 1, 300)).await;
    record(&stack, "node-2", &session(&alice.phone, 2, 60)).await;
    let (the_first, the_second, nobody): (&[u64], &[u64], &[u64]) = (&[1], &[2], &[]);
    for (change, expected) in [
        ("SELECT 1", the_first),
        ("UPDATE groups SET session_excess = 'newest_ends'", the_second),
        ("UPDATE servers SET state = 'degraded', draining = true", the_first),
        (
            "UPDATE servers SET leaving_since = now(), leaving_for = 'sales'",
            the_first,
        ),
        (
            "UPDATE servers SET journal_lost_at = now() - interval '1 minute'",
            the_first,
        ),
        (
            "UPDATE sessions SET recorded_at = now() - interval '11 minutes'",
            the_first,
        ),
        ("UPDATE sessions SET end_asked_at = now()", the_first),
        // Its node is silent, has left, or has just enrolled again.
        ("UPDATE servers SET state = 'stale' WHERE name = 'node-1'", nobody),
        ("UPDATE servers SET state = 'lost' WHERE name = 'node-1'", nobody),
        ("UPDATE servers SET state = 'enrolled' WHERE name = 'node-1'", nobody),
        (
            "UPDATE servers SET last_seen = now() - interval '16 seconds' WHERE name = 'node-1'",
            nobody,
        ),
        ("UPDATE servers SET leaving_since = now() WHERE name = 'node-1'", nobody),
        // Its node has lost it, or does not tell of it any more.
        (
            "UPDATE servers SET journal_lost_at = now() WHERE name = 'node-1'",
            nobody,
        ),
        (
            "UPDATE sessions SET recorded_at = now() - interval '13 minutes' WHERE cid = 1",
            nobody,
        ),
        ("UPDATE sessions SET end_answered_at = now() WHERE cid = 1", nobody),
        // It is cut anyway, or its node has no say.
        (
            "UPDATE credentials SET revoked_at = now() WHERE device = 'phone'",
            nobody,
        ),
        (
            "UPDATE placements SET wanted_present = false WHERE server_id = 'node-1'",
            nobody,
        ),
        ("UPDATE users SET removed_at = now() WHERE username = 'alice'", nobody),
        // Another group, which has no limit, or is not there.
        (
            "UPDATE users SET group_name = 'default' WHERE username = 'alice'",
            nobody,
        ),
        ("UPDATE users SET group_name = 'gone' WHERE username = 'alice'", nobody),
    ] {
        run(&stack.app.db, AS_BEFORE).await;
        run(&stack.app.db, change).await;
        assert_eq!(beyond(&stack, &alice).await, expected, "{change}");
    }
}

const WITHOUT_OWN: &str = "UPDATE users SET own_sessions = NULL, own_session_excess = NULL;
    UPDATE groups SET sessions = 1, session_excess = 'oldest_ends' WHERE name = 'staff'";

#[tokio::test]
async fn an_own_limit_comes_before_that_of_the_group_and_each_value_by_itself() {
    let (stack, alice) = at_rest().await;
    let db = &stack.app.db;
    record(&stack, "node-1", &session(&alice.default, 1, 300)).await;
    record(&stack, "node-2", &session(&alice.phone, 2, 60)).await;
    let (the_first, the_second, nobody): (&[u64], &[u64], &[u64]) = (&[1], &[2], &[]);
    for (change, expected) in [
        ("SELECT 1", the_first),
        ("UPDATE users SET own_sessions = 2 WHERE username = 'alice'", nobody),
        ("UPDATE users SET own_sessions = 2 WHERE username = 'bob'", the_first),
        // The group says how many, and she which.
        (
            "UPDATE users SET own_session_excess = 'newest_ends' WHERE username = 'alice'",
            the_second,
        ),
        // She says how many, and the group which.
        (
            "UPDATE groups SET sessions = 16, session_excess = 'newest_ends' WHERE name = 'staff';
             UPDATE users SET own_sessions = 1 WHERE username = 'alice'",
            the_second,
        ),
        // Nobody else has a limit.
        (
            "UPDATE groups SET sessions = NULL; UPDATE users SET own_sessions = 1 WHERE username = 'alice'",
            the_first,
        ),
        ("UPDATE groups SET sessions = NULL", nobody),
    ] {
        run(db, WITHOUT_OWN).await;
        run(db, change).await;
        assert_eq!(beyond(&stack, &alice).await, expected, "{change}");
        let crowded = find_crowded(db, 0, 10).await.expect("found");
        let is_crowded = crowded.contains(&alice.id);
        assert_eq!(is_crowded, !expected.is_empty(), "{change}: {crowded:?}");
    }
}

#[tokio::test]
async fn a_client_that_moves_to_another_node_counts_once_and_what_stays_behind_ends_first() {
    let (stack, alice) = at_rest().await;
    let db = &stack.app.db;
    record(&stack, "node-1", &session(&alice.default, 1, 300)).await;
    record(&stack, "node-2", &session(&alice.default, 2, 5)).await;
    let (the_first, nobody): (&[u64], &[u64]) = (&[1], &[]);
    // In the end both are there for longer than a client that moved leaves anything behind.
    for (passes, expected) in [("0 seconds", nobody), ("21 seconds", the_first)] {
        let pass = format!("UPDATE sessions SET first_recorded_at = first_recorded_at - interval '{passes}'");
        run(db, &pass).await;
        for excess in ["oldest_ends", "newest_ends"] {
            run(db, &format!("UPDATE groups SET session_excess = '{excess}'")).await;
            assert_eq!(beyond(&stack, &alice).await, expected, "{excess} after {passes}");
        }
    }
}

/// As a node does it of a session whose traffic counts against a quota.
#[tokio::test]
async fn two_machines_with_one_profile_count_twice_however_often_a_node_tells_of_them() {
    let (stack, alice) = at_rest().await;
    let db = &stack.app.db;
    let newer = session(&alice.default, 2, 5);
    record(&stack, "node-1", &session(&alice.default, 1, 300)).await;
    record(&stack, "node-2", &newer).await;
    let pass = "UPDATE sessions SET first_recorded_at = first_recorded_at - interval '21 seconds',
                    recorded_at = recorded_at - interval '61 seconds'";
    run(db, pass).await;

    record(&stack, "node-2", &newer).await;

    let told_again = "SELECT count(*) FROM sessions WHERE recorded_at > now() - interval '60 seconds'";
    assert_eq!(number(db, told_again).await, 1);
    assert_eq!(beyond(&stack, &alice).await, [1]);
}

#[tokio::test]
async fn what_is_newer_is_not_said_by_the_clocks_of_nodes() {
    let (stack, alice) = at_rest().await;
    let db = &stack.app.db;
    // By the clock of its node the second one began before the first.
    record(&stack, "node-1", &session(&alice.default, 1, 60)).await;
    record(&stack, "node-2", &session(&alice.phone, 2, 360)).await;
    for (excess, expected) in [("oldest_ends", [1]), ("newest_ends", [2])] {
        run(db, &format!("UPDATE groups SET session_excess = '{excess}'")).await;
        assert_eq!(beyond(&stack, &alice).await, expected, "{excess}");
    }
    // Sessions of before the column.
    run(db, "UPDATE sessions SET first_recorded_at = now()").await;
    assert_eq!(beyond(&stack, &alice).await, [1], "by their starts");
}

/// Those of a node that is lost stay open for as long as it is away.
#[tokio::test]
async fn a_user_is_not_looked_at_for_ever_for_what_a_node_does_not_tell_of_any_more() {
    let (stack, alice) = at_rest().await;
    let db = &stack.app.db;
    record(&stack, "node-1", &session(&alice.default, 1, 300)).await;
    record(&stack, "node-2", &session(&alice.phone, 2, 60)).await;
    for (minutes, found) in [(11, vec![alice.id]), (13, vec![])] {
        let told = format!("UPDATE sessions SET recorded_at = now() - interval '{minutes} minutes' WHERE cid = 1");
        run(db, &told).await;
        assert_eq!(find_crowded(db, 0, 10).await.expect("found"), found, "{minutes}");
    }
}

/// A thief of a node may tell of any number of sessions of a user whom the node holds.
#[tokio::test]
async fn of_one_user_so_many_sessions_are_looked_at_and_the_others_wait() {
    let (stack, alice) = at_rest().await;
    let db = &stack.app.db;
    let flood = format!(
        "INSERT INTO sessions (server_id, since, cid, common_name, user_id, username, device, real_address, bytes_in, bytes_out, seen_at,
             first_recorded_at)
         SELECT 'node-1', date_trunc('second', now()) - make_interval(secs => i), i, '{}', {}, 'alice', 'default', '192.0.2.1:1', 0, 0,
             now(), now() - interval '21 seconds'
         FROM generate_series(1, 200) i",
        alice.default, alice.id
    );
    run(db, &flood).await;
    let ends: Vec<u64> = (2..=64).collect();
    assert_eq!(beyond(&stack, &alice).await, ends);

    let nobody: [i64; 0] = [];
    assert_eq!(find_crowded(db, 0, 10).await.expect("found"), [alice.id]);
    assert_eq!(find_crowded(db, alice.id, 10).await.expect("found"), nobody);
    run(db, "UPDATE sessions SET end_answered_at = now() WHERE cid > 1").await;
    assert_eq!(find_crowded(db, 0, 10).await.expect("found"), nobody);
}
