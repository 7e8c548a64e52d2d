//! A node whose agent is too old for what its users need.

use serde_json::json;
use vpnmanager_entities::server::NodeState;
use vpnmanager_management::{domain::agent_features::Feature, ops::nodes::record_heartbeats::record_heartbeats};
use vpnmanager_nats::heartbeats::OpenvpnState;

use super::{
    node_view,
    nodes::{heartbeat, serves},
};
use crate::{
    database::run,
    stack::{Stack, get},
};

/// The last release whose agents know no old certificates.
const OLDER: &str = "0.1.0";
const THIS_RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The agent of a node says that it is of this version, and that all is well.
async fn says(stack: &Stack, id: &str, version: &str) {
    let mut heard = heartbeat(id, OpenvpnState::Up);
    heard.heartbeat.agent_version = version.to_owned();
    record_heartbeats(&stack.app.db, stack.app.config.health, &[heard])
        .await
        .expect("recorded");
}

/// Panics unless nothing is missing at a node.
async fn lacks_nothing(stack: &Stack, id: &str) {
    let view = node_view(stack, id).await;
    assert_eq!((view.unmet, view.server.state_reason), (Vec::new(), None), "{id}");
    assert_eq!(view.server.state, NodeState::Healthy, "{id}");
}

#[tokio::test]
async fn a_node_says_what_its_users_need_and_its_agent_is_too_old_for() {
    let stack = Stack::start().await;
    for id in ["node-1", "node-2"] {
        serves(&stack, id).await;
        says(&stack, id, OLDER).await;
        lacks_nothing(&stack, id).await;
    }

    run(
        &stack.app.db,
        "INSERT INTO old_certificates (server_id, common_name, serial, not_after)
         VALUES ('node-1', 'alice', '1', now() + interval '1 year'), ('node-2', 'bob', '1', now() - interval '1 day')",
    )
    .await;
    for id in ["node-1", "node-2"] {
        says(&stack, id, OLDER).await;
    }

    lacks_nothing(&stack, "node-2").await;
    let view = node_view(&stack, "node-1").await;
    assert_eq!(view.unmet, [Feature::OldCertificates]);
    assert_eq!(view.server.state, NodeState::Healthy);
    let reason = view.server.state_reason.expect("a reason");
    assert!(
        reason.starts_with("its agent is of release 0.1.0, which is too old"),
        "{reason}"
    );
    let shown = get(&stack, "/api/endnodes/node-1").await;
    assert_eq!(
        shown["agent_lacks"],
        json!([{
            "feature": "old_certificates",
            "since": "0.2.0",
            "effect": "it lets nobody in by an old certificate",
        }])
    );

    says(&stack, "node-1", THIS_RELEASE).await;
    lacks_nothing(&stack, "node-1").await;
    let shown = get(&stack, "/api/endnodes/node-1").await;
    assert_eq!(shown["agent_lacks"], json!([]));
}
