//! Messages that only a hostile or broken node sends. They end no task, and honest messages after them count.

use std::time::Duration;

use chrono::Utc;
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};
use vpnmanager_entities::{agent_run, server::NodeState};
use vpnmanager_management::ops::nodes::{read::get_node, record_heartbeats::record_heartbeats};
use vpnmanager_nats::{envelope::Envelope, heartbeats::OpenvpnState, subjects};
use vpnmanager_testbed::wait;

use super::{enrol, node, nodes::heartbeat};
use crate::stack::Stack;

const SOON: Duration = Duration::from_secs(10);
/// The ends of what the library for times can hold.
const ENDS_OF_TIME: [&str; 2] = ["+262142-12-31T23:59:59Z", "-262143-01-01T00:00:01Z"];

async fn publish(stack: &Stack, payload: Vec<u8>) {
    let subject = subjects::health(&node("node-1"));
    let client = &stack.app.bus.client;
    client.publish(subject, payload.into()).await.expect("published");
    client.flush().await.expect("flushed");
}

async fn is_healthy(stack: &Stack) -> bool {
    let view = get_node(&stack.app, &node("node-1")).await.expect("read");
    view.expect("there").server.state == NodeState::Healthy
}

#[tokio::test]
async fn heartbeats_from_the_ends_of_time_end_no_task() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let honest = Envelope::new(heartbeat("node-1", OpenvpnState::Up).heartbeat);
    let mut forged: Value = serde_json::from_slice(&honest.encode()).expect("JSON");
    for at in ENDS_OF_TIME {
        forged["at"] = json!(at);
        publish(&stack, serde_json::to_vec(&forged).expect("JSON")).await;
    }

    publish(&stack, honest.encode().to_vec()).await;

    wait::until(SOON, "node-1 to be healthy", async || is_healthy(&stack).await)
        .await
        .expect("the honest heartbeat counts");
    assert!(!stack.tasks.token().is_cancelled(), "a task died");
}

#[tokio::test]
async fn an_offset_that_leads_out_of_time_does_not_keep_a_node_from_being_heard() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let received = heartbeat("node-1", OpenvpnState::Up);
    let now = Utc::now();
    let run = agent_run::ActiveModel {
        server_id: Set(node("node-1")),
        instance: Set(received.heartbeat.instance),
        first_heard: Set(now),
        last_heard: Set(now),
        last_sent: Set(now),
        previous_sent: Set(now),
        offset_us: Set(i64::MIN),
        ..Default::default()
    };
    agent_run::Entity::insert(run)
        .exec_without_returning(&stack.app.db)
        .await
        .expect("stored");

    record_heartbeats(&stack.app.db, stack.app.config.health, &[received])
        .await
        .expect("recorded");

    assert!(is_healthy(&stack).await);
}
