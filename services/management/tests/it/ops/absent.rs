//! Nodes without OpenVPN: they keep an allow-list, and serve nobody themselves.

use std::time::Duration;

use chrono::Utc;
use poem::http::StatusCode;
use vpnmanager_management::{
    domain::placement::Goal,
    ops::{
        nodes::change::{ChangeNodeError, NodeChange, change_node},
        placement::{fill::place_users, rehome::rehome_users},
    },
};
use vpnmanager_nats::heartbeats::OpenvpnState;
use vpnmanager_testbed::wait;

use super::{actor, create, enrol, fleet, node, nodes::hear, view};
use crate::database::run;
use crate::stack::{Stack, WithKey as _, json_of};

async fn nodes_of(stack: &Stack, username: &str) -> Vec<String> {
    let user = view(stack, username).await.expect("there");
    let mut nodes: Vec<String> = user
        .placements
        .iter()
        .map(|placement| placement.server_id.to_string())
        .collect();
    nodes.sort();
    nodes
}

#[tokio::test]
async fn users_are_placed_on_nodes_that_run_openvpn_and_the_others_say_that_they_serve_nobody() {
    let stack = fleet(2).await;
    hear(&stack, "node-1", OpenvpnState::Absent).await;
    hear(&stack, "node-2", OpenvpnState::Up).await;
    for number in 0..4 {
        let name = format!("user{number}");
        assert_eq!(create(&stack, &name).await.user.server_id, node("node-2"));
        assert_eq!(nodes_of(&stack, &name).await, ["node-2"]);
    }

    let client = stack.client();
    let shown = client.get("/api/endnodes/node-1").admin().send().await;
    let shown = json_of(shown, StatusCode::OK).await;
    assert_eq!(shown["state"], "healthy");
    let reason = shown["state_reason"].as_str().unwrap_or_default();
    assert!(reason.contains("serves nobody itself"), "{shown}");
    let shown = client.get("/api/endnodes/node-2").admin().send().await;
    let shown = json_of(shown, StatusCode::OK).await;
    assert_eq!((&shown["state"], shown.get("state_reason")), (&"healthy".into(), None));
}

#[tokio::test]
async fn a_fleet_in_which_nobody_runs_openvpn_is_placed_as_any_other() {
    let stack = fleet(2).await;
    for id in ["node-1", "node-2"] {
        hear(&stack, id, OpenvpnState::Absent).await;
    }
    create(&stack, "alice").await;
    assert_eq!(nodes_of(&stack, "alice").await, ["node-1", "node-2"]);
}

#[tokio::test]
async fn a_user_who_is_only_where_nobody_serves_gets_the_node_that_serves_and_no_other_way_round() {
    let stack = fleet(2).await;
    hear(&stack, "node-1", OpenvpnState::Absent).await;
    hear(&stack, "node-2", OpenvpnState::Up).await;
    create(&stack, "bob").await;
    run(
        &stack.app.db,
        "UPDATE servers SET enabled = false WHERE name = 'node-2'",
    )
    .await;
    create(&stack, "alice").await;
    assert_eq!(nodes_of(&stack, "alice").await, ["node-1"], "nobody else is open");

    run(&stack.app.db, "UPDATE servers SET enabled = true").await;
    stack.app.placer.wake();
    let served = async || nodes_of(&stack, "alice").await == ["node-1", "node-2"];
    wait::until(wait::SOON, "alice to be on a node that serves", served)
        .await
        .expect("placed");
    let goal = Goal {
        replicas: 3,
        lost_before: Utc::now(),
    };
    let placed = place_users(&stack.app.db, goal).await.expect("looked");
    assert_eq!((placed.users, placed.more), (0, false), "nobody lacks a node");
    assert_eq!(nodes_of(&stack, "bob").await, ["node-2"]);
}

#[tokio::test]
async fn a_lost_home_is_not_replaced_by_a_node_without_openvpn_while_others_run_it() {
    let stack = fleet(2).await;
    for id in ["node-1", "node-2"] {
        hear(&stack, id, OpenvpnState::Absent).await;
    }
    create(&stack, "alice").await;
    let home = view(&stack, "alice").await.expect("there").user.server_id;
    let lose =
        format!("UPDATE servers SET state = 'lost', lost_since = now() - interval '1 hour' WHERE name = '{home}'");
    run(&stack.app.db, &lose).await;
    enrol(&stack, "node-3").await;
    hear(&stack, "node-3", OpenvpnState::Up).await;
    let after = Duration::from_secs(300);
    assert_eq!(rehome_users(&stack.app, after).await.expect("looked").users, 0);

    run(&stack.app.db, "UPDATE servers SET last_sync = now()").await;
    stack.app.placer.wake();
    let moved = async || {
        rehome_users(&stack.app, after).await.expect("looked");
        view(&stack, "alice").await.expect("there").user.server_id == node("node-3")
    };
    wait::until(wait::SOON, "the home to move to the node that serves", moved)
        .await
        .expect("moved");
}

#[tokio::test]
async fn a_node_that_serves_is_not_drained_onto_one_that_does_not() {
    let stack = fleet(2).await;
    hear(&stack, "node-1", OpenvpnState::Absent).await;
    hear(&stack, "node-2", OpenvpnState::Up).await;
    let drain = async |id: &str| change_node(&stack.app, &actor(), &node(id), NodeChange::Drain).await;
    let refused = drain("node-2").await;
    assert!(matches!(refused, Err(ChangeNodeError::NowhereToGo)), "{refused:?}");
    drain("node-1").await.expect("drained");
}
