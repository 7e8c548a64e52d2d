//! The end of a removal: the row is deleted and a receipt is written when no node holds the user any more.

use sea_orm::EntityTrait;
use serde_json::Value;
use vpnmanager_entities::user;
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        credentials::revoke_node::NodeCredentials, nodes::deregister::deregister_node,
        reports::apply_reports::apply_reports, users::remove::remove_user,
    },
};

use super::{actor, applied, audited, create, enrol, node};
use crate::stack::Stack;

async fn remove(stack: &Stack, username: &str) {
    let username = username.parse().expect("a valid username");
    remove_user(&stack.app, &actor(), &username).await.expect("removed");
}

async fn deregister(stack: &Stack, id: &str) {
    deregister_node(&stack.app, &actor(), &node(id), NodeCredentials::Keep)
        .await
        .expect("deregistered");
}

async fn users(stack: &Stack) -> usize {
    user::Entity::find().all(&stack.app.db).await.expect("read").len()
}

/// The names of the nodes in each receipt.
async fn receipts(stack: &Stack) -> Vec<Vec<String>> {
    let rows = audited(stack, AuditAction::UserRemovalCompleted).await;
    rows.into_iter()
        .map(|row| {
            assert_eq!(row.username.as_deref(), Some("alice"));
            let after = row.after.expect("a receipt says which nodes");
            let nodes = after["nodes"].as_array().expect("a list");
            let name = |node: &Value| node["server_id"].as_str().expect("a node").to_owned();
            let mut names: Vec<String> = nodes.iter().map(name).collect();
            names.sort();
            names
        })
        .collect()
}

#[tokio::test]
async fn a_removal_that_waits_for_a_node_alone_ends_with_a_receipt_when_that_node_is_deregistered() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let alice = create(&stack, "alice").await;
    create(&stack, "bob").await;
    remove(&stack, "alice").await;
    apply_reports(&stack.app, &[applied("node-1", &alice, 2)], &[])
        .await
        .expect("applied");
    assert_eq!((users(&stack).await, receipts(&stack).await), (2, vec![]));

    deregister(&stack, "node-2").await;

    assert_eq!(
        (users(&stack).await, receipts(&stack).await),
        (1, vec![vec!["node-1".to_owned()]])
    );
}

#[tokio::test]
async fn a_removal_that_waits_for_another_node_too_goes_on_waiting() {
    let stack = Stack::start().await;
    for id in ["node-1", "node-2", "node-3"] {
        enrol(&stack, id).await;
    }
    let alice = create(&stack, "alice").await;
    remove(&stack, "alice").await;

    deregister(&stack, "node-3").await;
    assert_eq!((users(&stack).await, receipts(&stack).await), (1, vec![]));

    for id in ["node-1", "node-2"] {
        apply_reports(&stack.app, &[applied(id, &alice, 2)], &[])
            .await
            .expect("applied");
    }
    assert_eq!(
        (users(&stack).await, receipts(&stack).await),
        (0, vec![vec!["node-1".to_owned(), "node-2".to_owned()]])
    );
}

#[tokio::test]
async fn a_user_that_no_node_holds_is_gone_at_once_with_a_receipt() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    deregister(&stack, "node-1").await;

    remove(&stack, "alice").await;

    assert_eq!((users(&stack).await, receipts(&stack).await), (0, vec![vec![]]));
}
