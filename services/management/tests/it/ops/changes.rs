//! Draining, disabling and enabling nodes.

use poem::http::StatusCode;
use sea_orm::{EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;
use vpnmanager_entities::audit_log;
use vpnmanager_management::ops::{
    credentials::revoke_node::NodeCredentials,
    nodes::change::{ChangeNodeError, NodeChange, change_node},
};
use vpnmanager_nats::heartbeats::OpenvpnState;

use super::{
    actor, create, enrol, in_sync, node,
    nodes::{hear, serves},
};
use crate::stack::{Stack, WithKey as _, json_of, problem_of};

async fn change(stack: &Stack, id: &str, change: NodeChange) -> Result<(bool, bool), ChangeNodeError> {
    let view = change_node(&stack.app, &actor(), &node(id), change).await?;
    Ok((view.server.enabled, view.server.draining))
}

#[tokio::test]
async fn each_change_is_audited_once_with_what_was_before() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    serves(&stack, "node-2").await;
    let steps = [
        (NodeChange::Disable(NodeCredentials::Keep), (false, false)),
        (NodeChange::Disable(NodeCredentials::Keep), (false, false)),
        (NodeChange::Drain, (false, true)),
        (NodeChange::Enable, (true, true)),
        (NodeChange::Undrain, (true, false)),
        (NodeChange::Undrain, (true, false)),
    ];
    for (step, expected) in steps {
        assert_eq!(
            change(&stack, "node-1", step).await.expect("changed"),
            expected,
            "{step:?}"
        );
    }
    let rows = audit_log::Entity::find()
        .filter(audit_log::COLUMN.server_id.eq("node-1"))
        .filter(audit_log::COLUMN.action.ne("node_registered"))
        .order_by_asc(audit_log::Column::Id);
    let rows = rows.all(&stack.app.db).await.expect("read");
    let actions: Vec<&str> = rows.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(
        actions,
        ["node_disabled", "node_drained", "node_enabled", "node_undrained"]
    );
    let (before, after) = (rows[1].before.as_ref(), rows[1].after.as_ref());
    assert_eq!(before.expect("before")["draining"], json!(false));
    assert_eq!(after.expect("after")["draining"], json!(true));
}

#[tokio::test]
async fn of_two_nodes_drained_at_once_one_stays() {
    let stack = Stack::start().await;
    serves(&stack, "node-1").await;
    serves(&stack, "node-2").await;
    let (one, other) = tokio::join!(
        change(&stack, "node-1", NodeChange::Drain),
        change(&stack, "node-2", NodeChange::Drain)
    );
    assert_eq!([&one, &other].iter().filter(|result| result.is_ok()).count(), 1);
    let refused = one.err().or(other.err());
    assert!(matches!(refused, Some(ChangeNodeError::NowhereToGo)), "{refused:?}");
    let unknown = change(&stack, "node-9", NodeChange::Drain).await;
    assert!(matches!(unknown, Err(ChangeNodeError::UnknownServer)), "{unknown:?}");
}

#[tokio::test]
async fn nobody_is_sent_to_a_node_that_was_never_in_sync_or_does_not_serve() {
    let stack = Stack::start().await;
    serves(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let path = "/api/endnodes/node-1/drain";
    let drain = async || stack.client().post(path).admin().send().await;

    let (problem, _) = problem_of(drain().await, StatusCode::CONFLICT).await;
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("was never heard or in sync"), "{detail}");
    hear(&stack, "node-2", OpenvpnState::Up).await;
    problem_of(drain().await, StatusCode::CONFLICT).await;
    in_sync(&stack, "node-2").await;
    hear(&stack, "node-2", OpenvpnState::Down).await;
    problem_of(drain().await, StatusCode::CONFLICT).await;
    hear(&stack, "node-2", OpenvpnState::Up).await;

    let drained = json_of(drain().await, StatusCode::OK).await;
    assert_eq!(drained["draining"], true);
}

#[tokio::test]
async fn no_user_is_placed_on_a_node_that_is_disabled_or_drained() {
    let stack = Stack::start().await;
    for id in ["node-1", "node-2", "node-3"] {
        serves(&stack, id).await;
    }
    change(&stack, "node-1", NodeChange::Disable(NodeCredentials::Keep))
        .await
        .expect("changed");
    change(&stack, "node-2", NodeChange::Drain).await.expect("changed");
    for number in 0..8 {
        let user = create(&stack, &format!("user{number}")).await;
        let nodes: Vec<&str> = user
            .placements
            .iter()
            .map(|placement| placement.server_id.as_str())
            .collect();
        assert_eq!(nodes, ["node-3"]);
    }
}
