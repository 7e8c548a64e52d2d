//! Sessions whose node has left the fleet.

use vpnmanager_management::ops::sessions::close_abandoned::close_abandoned;
use vpnmanager_nats::sessions::EndKind;

use super::{alive, at, began, credential_of, ended, rows, tell};
use crate::database::run;
use crate::ops::enrol;
use crate::stack::Stack;

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

    close_abandoned(&stack.app.db).await.expect("closed");

    let ends: Vec<_> = rows(&stack)
        .await
        .into_iter()
        .map(|row| (row.cid, row.ended_at, row.end_kind))
        .collect();
    assert_eq!(
        ends,
        [
            (1, Some(at(300)), Some(EndKind::Assumed)),
            (2, Some(at(20)), Some(EndKind::Seen)),
            (3, None, None),
        ]
    );
    assert_eq!(close_abandoned(&stack.app.db).await.expect("closed"), 0);
}
