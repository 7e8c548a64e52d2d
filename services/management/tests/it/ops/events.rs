//! Recording events of nodes.

use vpnmanager_management::{domain::audit_action::AuditAction, ops::reports::apply_reports::apply_reports};
use vpnmanager_nats::{
    events::{Event, EventKind},
    ids::{AgentInstance, EventId, UserKey},
};

use super::{audited, create, enrol, node};
use crate::{database::run, stack::Stack};

/// What node-1 says when it has ended the access of this user.
fn expired(user_key: UserKey) -> Event {
    Event {
        id: EventId::new(),
        node: node("node-1"),
        instance: AgentInstance::new(),
        at: chrono::Utc::now(),
        kind: EventKind::UserExpired { user_key, sessions: 2 },
    }
}

#[tokio::test]
async fn an_event_that_is_delivered_twice_is_recorded_once() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let event = expired(create(&stack, "alice").await.user.key);

    apply_reports(&stack.app, &[], &[event.clone(), event.clone()])
        .await
        .expect("recorded");
    apply_reports(&stack.app, &[], &[event]).await.expect("recorded");

    let rows = audited(&stack, AuditAction::UserExpired).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].actor.as_str(), rows[0].username.as_deref()),
        ("node:node-1", Some("alice"))
    );
}

/// A node that was told to remove a user may never do so, and says of her what it likes.
#[tokio::test]
async fn an_event_about_a_user_who_was_taken_off_the_node_names_nobody() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await.user.key;
    run(&stack.app.db, "UPDATE placements SET wanted_present = false").await;
    apply_reports(&stack.app, &[], &[expired(alice)])
        .await
        .expect("recorded");
    // Of a user who is being removed it is news.
    run(&stack.app.db, "UPDATE users SET removed_at = now()").await;
    apply_reports(&stack.app, &[], &[expired(alice)])
        .await
        .expect("recorded");

    let rows = audited(&stack, AuditAction::UserExpired).await;
    let names: Vec<_> = rows.iter().map(|row| row.username.as_deref()).collect();
    assert_eq!(names, [None, Some("alice")]);
}
