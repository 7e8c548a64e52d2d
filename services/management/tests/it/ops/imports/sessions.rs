//! Sessions with certificates of old servers.

use vpnmanager_management::{
    domain::session_room::{PACE, SessionRoom},
    ops::sessions::record_sessions::record_sessions,
};
use vpnmanager_nats::{
    ids::CommonName,
    sessions::{SessionRecord, SessionReport},
};

use super::import_one;
use crate::{
    database::number,
    ops::fleet,
    session_history::{alive, began, report},
    stack::Stack,
};

async fn tell(stack: &Stack, id: &str, record: SessionRecord) {
    let reports: [SessionReport; 1] = [report(id, &[record])];
    record_sessions(&stack.app.db, &mut SessionRoom::new(PACE), &reports)
        .await
        .expect("recorded");
}

#[tokio::test]
async fn the_user_of_a_session_is_known_by_node_and_old_common_name() {
    let stack = fleet(2).await;
    stack.end_tasks().await;
    import_one(&stack, "node-1", "alice").await;
    let alice: CommonName = "alice".parse().expect("a common name");

    tell(&stack, "node-1", alive(&began(&alice, 7, 0), 60, 5)).await;
    tell(&stack, "node-2", alive(&began(&alice, 8, 0), 60, 5)).await;

    let db = &stack.app.db;
    let of_alice = "SELECT count(*) FROM sessions WHERE username = 'alice' AND device IS NULL AND server_id = 'node-1'";
    assert_eq!(number(db, of_alice).await, 1);
    assert_eq!(
        number(db, "SELECT count(*) FROM sessions").await,
        1,
        "the other node knows no such name"
    );
    let noted = "SELECT count(*) FROM old_certificates o JOIN users u ON u.id = o.user_id
                 WHERE o.last_access IS NOT NULL AND u.last_access = o.last_access";
    assert_eq!(number(db, noted).await, 1);
}
