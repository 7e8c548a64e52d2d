//! How long a session stays in the history.

use vpnmanager_management::ops::housekeeping::{Kept, delete_old_rows};
use vpnmanager_nats::ids::CommonName;

use super::{alive, began, credential_of, ended, rows, tell};
use crate::database::{number, run};
use crate::ops::enrol;
use crate::stack::Stack;

/// A day of sessions is kept. alice has one that began two days ago, and of which her node told last 26 hours ago.
async fn away_for_26_hours() -> (Stack, CommonName) {
    let stack = Stack::start_with(&[("SESSION_HISTORY", "1day")]).await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    tell(&stack, "node-1", &[alive(&began(&alice, 7, -86_400), -3_600, 50)]).await;
    run(
        &stack.app.db,
        "UPDATE sessions SET recorded_at = now() - interval '26 hours'",
    )
    .await;
    (stack, alice)
}

async fn delete(stack: &Stack) {
    while delete_old_rows(&stack.app.db, Kept::of(&stack.app.config))
        .await
        .expect("deleted")
    {}
}

#[tokio::test]
async fn a_session_whose_end_is_not_known_stays_and_its_bytes_count_once() {
    let (stack, alice) = away_for_26_hours().await;

    delete(&stack).await;
    tell(&stack, "node-1", &[ended(&began(&alice, 7, -86_400), 3_600, 60)]).await;

    let rows = rows(&stack).await;
    assert_eq!((rows.len(), rows[0].bytes_in), (1, 60));
    let counted = "SELECT sum(bytes_in) * 1000 + sum(sessions) FROM traffic_days";
    assert_eq!(number(&stack.app.db, counted).await, 60_001);
}

#[tokio::test]
async fn a_session_that_has_ended_or_whose_node_has_left_goes() {
    for gone in [
        "UPDATE sessions SET ended_at = seen_at, gone_at = seen_at, end_kind = 'seen'",
        "DELETE FROM servers",
    ] {
        let (stack, _) = away_for_26_hours().await;
        run(&stack.app.db, gone).await;
        delete(&stack).await;
        assert_eq!(rows(&stack).await.len(), 0, "{gone}");
    }
}
