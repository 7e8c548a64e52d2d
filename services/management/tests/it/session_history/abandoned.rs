//! Sessions of whose end nobody will tell.

use chrono::Utc;
use vpnmanager_management::ops::sessions::close_abandoned::close_abandoned;
use vpnmanager_nats::{ids::CommonName, sessions::EndKind};

use super::{alive, at, began, credential_of, ended, rows, tell};
use crate::database::run;
use crate::ops::enrol;
use crate::stack::Stack;

async fn close(stack: &Stack) -> u64 {
    close_abandoned(&stack.app.db).await.expect("closed")
}

/// OpenVPN's numbers for the sessions that are open.
async fn open(stack: &Stack) -> Vec<i64> {
    let rows = rows(stack).await.into_iter();
    rows.filter(|row| row.ended_at.is_none()).map(|row| row.cid).collect()
}

#[tokio::test]
async fn what_a_node_that_has_left_will_not_end_is_closed_with_what_is_known() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let alice = credential_of(&stack, "alice").await;
    tell(
        &stack,
        "node-1",
        &[alive(&began(&alice, 1, 0), 300, 5), ended(&began(&alice, 2, 10), 20, 5)],
    )
    .await;
    tell(&stack, "node-2", &[alive(&began(&alice, 3, 20), 300, 5)]).await;
    run(&stack.app.db, "DELETE FROM servers WHERE name = 'node-1'").await;

    let before = Utc::now();
    close(&stack).await;

    let rows = rows(&stack).await;
    let ends: Vec<_> = rows.iter().map(|row| (row.cid, row.ended_at, row.end_kind)).collect();
    assert_eq!(
        ends,
        [
            (1, Some(at(300)), Some(EndKind::Assumed)),
            (2, Some(at(20)), Some(EndKind::Seen)),
            (3, None, None),
        ]
    );
    let found_gone = rows[0].gone_at.expect("a time");
    assert!((found_gone - before).num_seconds().abs() < 60, "{found_gone}");
    assert_eq!((rows[1].gone_at, rows[2].gone_at), (Some(at(20)), None));
    assert_eq!(close(&stack).await, 0);
}

/// alice has two sessions on a node that is healthy. It told of the first one 20 minutes ago, and of the second one now.
async fn silent_about_the_first() -> (Stack, CommonName) {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    tell(
        &stack,
        "node-1",
        &[
            alive(&began(&alice, 1, 0), 300, 5),
            alive(&began(&alice, 2, 10), 300, 5),
        ],
    )
    .await;
    run(
        &stack.app.db,
        "UPDATE sessions SET recorded_at = now() - interval '20 minutes' WHERE cid = 1;
         UPDATE servers SET state = 'healthy', heard_since = now() - interval '2 days'",
    )
    .await;
    (stack, alice)
}

#[tokio::test]
async fn what_a_node_does_not_tell_of_after_it_lost_its_journal_is_closed() {
    let (stack, alice) = silent_about_the_first().await;
    for (change, closed) in [
        ("journal_lost_at = NULL", 0),
        ("journal_lost_at = now() - interval '9 minutes'", 0),
        (
            "journal_lost_at = now() - interval '11 minutes', heard_since = now() - interval '9 minutes'",
            0,
        ),
        ("state = 'stale', heard_since = now() - interval '2 days'", 0),
        // It told of the session after that.
        ("state = 'healthy', journal_lost_at = now() - interval '30 minutes'", 0),
        ("journal_lost_at = now() - interval '11 minutes'", 1),
    ] {
        run(&stack.app.db, &format!("UPDATE servers SET {change}")).await;
        assert_eq!(close(&stack).await, closed, "{change}");
    }
    let row = rows(&stack).await.remove(0);
    assert_eq!((row.ended_at, row.end_kind), (Some(at(300)), Some(EndKind::Assumed)));
    assert!(row.gone_at > Some(at(300)), "{row:?}");
    assert_eq!(open(&stack).await, [2]);

    // It lives all the same.
    tell(&stack, "node-1", &[alive(&began(&alice, 1, 0), 200, 4)]).await;
    assert_eq!(open(&stack).await, [2], "that is what was known before");
    tell(&stack, "node-1", &[alive(&began(&alice, 1, 0), 900, 9)]).await;
    assert_eq!(open(&stack).await, [1, 2]);
    let row = rows(&stack).await.remove(0);
    assert_eq!((row.end_kind, row.gone_at, row.bytes_in), (None, None, 9));
}

#[tokio::test]
async fn what_a_node_that_is_heard_does_not_tell_of_for_a_day_is_closed() {
    let (stack, _) = silent_about_the_first().await;
    let told = async |ago: &str| {
        let change = format!("UPDATE sessions SET recorded_at = now() - interval '{ago}' WHERE cid = 1");
        run(&stack.app.db, &change).await;
    };
    told("23 hours").await;
    assert_eq!(close(&stack).await, 0);
    told("25 hours").await;
    run(
        &stack.app.db,
        "UPDATE servers SET heard_since = now() - interval '23 hours'",
    )
    .await;
    assert_eq!(close(&stack).await, 0, "it was away before that");
    run(
        &stack.app.db,
        "UPDATE servers SET heard_since = now() - interval '2 days'",
    )
    .await;
    assert_eq!((close(&stack).await, open(&stack).await), (1, vec![2]));
}
