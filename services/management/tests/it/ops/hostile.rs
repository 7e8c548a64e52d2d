//! Messages that only a hostile or broken node sends. They end no task, and honest messages after them count.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use chrono::Utc;
use nkeys::KeyPair;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, TransactionTrait,
};
use serde_json::{Value, json};
use uuid::Uuid;
use vpnmanager_entities::{agent_run, server::NodeState};
use vpnmanager_management::{domain::audit_action::AuditAction, ops::nodes::record_heartbeats::record_heartbeats};
use vpnmanager_nats::{
    connect::Bus,
    envelope::Envelope,
    heartbeats::{Heartbeat, OpenvpnState},
    ids::AgentInstance,
    subjects,
    sync::SyncReply,
};
use vpnmanager_testbed::wait;

use super::{audited, enrol, node, nodes::heartbeat, server_of, sync};
use crate::{
    bus_node::{connect_as, connect_with, dial_as, is_connected, join_as},
    stack::Stack,
};

/// The ends of what the library for times can hold.
const ENDS_OF_TIME: [&str; 2] = ["+262142-12-31T23:59:59Z", "-262143-01-01T00:00:01Z"];

async fn publish(stack: &Stack, payload: Vec<u8>) {
    let subject = subjects::health(&node("node-1"));
    let client = &stack.app.bus.client;
    client.publish(subject, payload.into()).await.expect("published");
    client.flush().await.expect("flushed");
}

async fn is_healthy(stack: &Stack) -> bool {
    server_of(stack, "node-1").await.state == NodeState::Healthy
}

#[tokio::test]
async fn heartbeats_from_the_ends_of_time_end_no_task() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let honest = Envelope::new(heartbeat("node-1", OpenvpnState::Up).heartbeat);
    let mut forged: Value = serde_json::from_slice(&honest.encode()).expect("JSON");
    // The listener of the node may not be there yet.
    wait::until(wait::SOON, "node-1 to be heard", async || {
        publish(&stack, honest.encode().to_vec()).await;
        is_healthy(&stack).await
    })
    .await
    .expect("heard");
    for at in ENDS_OF_TIME {
        forged["at"] = json!(at);
        publish(&stack, serde_json::to_vec(&forged).expect("JSON")).await;
    }

    let heard = async || {
        publish(&stack, honest.encode().to_vec()).await;
        is_healthy(&stack).await
    };
    wait::until(wait::SOON, "node-1 to be healthy", heard)
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

/// Each is a time that a message may name.
#[tokio::test]
async fn times_that_are_far_apart_do_not_keep_a_node_from_being_heard() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let honest = heartbeat("node-1", OpenvpnState::Up);
    let at = |time: &str| {
        let mut odd = honest.clone();
        odd.heartbeat.at = time.parse().expect("a time");
        odd
    };
    for received in [at("9999-12-31T23:59:59Z"), at("1970-01-01T00:00:01Z"), honest.clone()] {
        record_heartbeats(&stack.app.db, stack.app.config.health, &[received])
            .await
            .expect("recorded");
    }
    assert!(is_healthy(&stack).await);
}

/// A heartbeat of another run each time.
async fn beat(bus: &Bus, id: &str) {
    beat_of(bus, id, AgentInstance::new()).await;
}

async fn beat_of(bus: &Bus, id: &str, instance: AgentInstance) {
    let heartbeat = Heartbeat {
        instance,
        ..heartbeat(id, OpenvpnState::Up).heartbeat
    };
    let subject = subjects::health(&node(id));
    let payload = Envelope::new(heartbeat).encode();
    bus.client.publish(subject, payload).await.expect("published");
}

/// A heartbeat, and a pause as an honest agent makes it: 20 may come at once, and two in a second. Its run is the same each time.
async fn beat_in_budget(bus: &Bus, id: &str) {
    beat_of(bus, id, AgentInstance(Uuid::from_u128(7))).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[tokio::test]
async fn a_node_that_floods_is_cut_off_for_a_while_and_no_other_is_missed() {
    let stack = Stack::start_with(&[("BUDGET_CUT_OFF_AFTER", "100"), ("BUDGET_CUT_OFF_FOR", "3s")]).await;
    let (thief, honest) = (connect_as(&stack, "node-1").await, connect_as(&stack, "node-2").await);
    let heard = async |bus: &Bus, id: &'static str| {
        let heard = async || {
            beat_in_budget(bus, id).await;
            server_of(&stack, id).await.state == NodeState::Healthy
        };
        wait::until(wait::SOON, "a node to be heard", heard)
            .await
            .expect("heard");
    };
    heard(&thief, "node-1").await;
    heard(&honest, "node-2").await;

    stack
        .app
        .topology
        .ensure_node(&node("node-1"))
        .await
        .expect("a consumer");
    // Each has a run of its own.
    for _ in 0..3000 {
        beat(&thief, "node-1").await;
    }
    let cut = async || server_of(&stack, "node-1").await.cut_off_until.is_some() && !is_connected(&thief);
    wait::until(wait::SOON, "node-1 to be cut off", cut)
        .await
        .expect("cut off");
    // Its pulls would wait on without it.
    let commands = stack.app.topology.commands();
    let is_gone = async || commands.get_consumer::<pull::Config>("node-1").await.is_err();
    wait::until(wait::SOON, "its consumer to go", is_gone)
        .await
        .expect("gone");

    let before = server_of(&stack, "node-2").await.last_seen;
    wait::until(wait::SOON, "node-2 to be heard", async || {
        beat_in_budget(&honest, "node-2").await;
        server_of(&stack, "node-2").await.last_seen > before
    })
    .await
    .expect("heard");
    assert_eq!(server_of(&stack, "node-2").await.state, NodeState::Healthy);
    let runs = agent_run::Entity::find()
        .filter(agent_run::Column::ServerId.eq(node("node-1")))
        .count(&stack.app.db);
    assert!(runs.await.expect("counted") <= 16);
    assert_eq!(audited(&stack, AuditAction::NodeCutOff).await.len(), 1);

    wait::until(wait::SOON, "node-1 to be back", async || is_connected(&thief))
        .await
        .expect("the time is over");
    heard_degraded(&stack, &thief).await;
    assert!(!stack.tasks.token().is_cancelled(), "a task died");
}

/// Waits until the node's own heartbeat is heard again: what it did is the reason why it is degraded.
async fn heard_degraded(stack: &Stack, thief: &Bus) {
    let heard = async || {
        beat_in_budget(thief, "node-1").await;
        let server = server_of(stack, "node-1").await;
        let reason = server.state_reason.unwrap_or_default();
        server.state == NodeState::Degraded && reason.contains("too many heartbeats")
    };
    wait::until(wait::SOON, "node-1 to be degraded", heard)
        .await
        .expect("degraded");
}

#[tokio::test]
async fn nobody_is_called_lost_while_heartbeats_wait_for_the_database() {
    // Management knows after three seconds that it is behind.
    const LOST_AFTER: Duration = Duration::from_secs(7);
    let stack = Stack::start_with(&[("HEALTH_STALE_AFTER", "6s"), ("HEALTH_LOST_AFTER", "7s")]).await;
    let honest = connect_as(&stack, "node-1").await;
    let state = async || server_of(&stack, "node-1").await.state;
    wait::until(wait::SOON, "node-1 to be heard", async || {
        beat_in_budget(&honest, "node-1").await;
        state().await == NodeState::Healthy
    })
    .await
    .expect("heard");

    let holder = stack.app.db.begin().await.expect("begun");
    // Longer than management lets its own transactions idle.
    let hold = "SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE agent_runs IN ACCESS EXCLUSIVE MODE";
    holder.execute_unprepared(hold).await.expect("locked");
    let held_from = Utc::now();
    wait::until(wait::SOON * 3, "management to know that it is behind", async || {
        beat_in_budget(&honest, "node-1").await;
        assert_eq!(state().await, NodeState::Healthy);
        stack.app.hearing.since() > held_from + LOST_AFTER * 2
    })
    .await
    .expect("behind for longer than it takes to be lost");
    holder.rollback().await.expect("released");

    let before = server_of(&stack, "node-1").await.last_seen;
    wait::until(wait::SOON, "node-1 to be heard again", async || {
        beat_in_budget(&honest, "node-1").await;
        server_of(&stack, "node-1").await.last_seen > before
    })
    .await
    .expect("heard");
    let changes: Vec<_> = audited(&stack, AuditAction::NodeStateChanged)
        .await
        .into_iter()
        .map(|row| (row.after, row.details))
        .collect();
    assert_eq!(changes.len(), 1, "enrolled to healthy: {changes:?}");
}

#[tokio::test]
async fn a_node_with_too_many_connections_is_cut_off() {
    let stack = Stack::start_with(&[("BUDGET_CONNECTIONS", "2"), ("BUDGET_CUT_OFF_FOR", "3s")]).await;
    let key = KeyPair::new_user();
    let first = connect_with(&stack, "node-1", &key).await;
    let second = join_as(&stack, "node-1", &key, &first.jwt).await;
    let honest = connect_as(&stack, "node-2").await;
    assert!(is_connected(&second) && is_connected(&honest));

    let third = join_as(&stack, "node-1", &key, &first.jwt).await;
    let all = [&first.bus, &second, &third];
    let cut = async || all.iter().all(|bus| !is_connected(bus));
    wait::until(Duration::from_secs(20), "the node to be cut off", cut)
        .await
        .expect("cut off");

    let server = server_of(&stack, "node-1").await;
    assert_eq!(server.over_budget.as_deref(), Some("it has 3 connections"));
    assert!(is_connected(&honest), "another node keeps its connection");
    assert_eq!(server_of(&stack, "node-2").await.cut_off_until, None);
}

/// Each connection is closed before anybody looks.
#[tokio::test]
async fn a_node_that_sends_on_one_connection_after_the_other_is_cut_off() {
    let stack = Stack::start_with(&[("BUDGET_TRAFFIC", "100"), ("BUDGET_CUT_OFF_FOR", "3s")]).await;
    let key = KeyPair::new_user();
    let first = connect_with(&stack, "node-1", &key).await;
    let is_cut = async || {
        let what = server_of(&stack, "node-1").await.over_budget;
        what.is_some_and(|what| what.contains("messages in a second"))
    };
    let cut = async || {
        let again = dial_as(&stack, "node-1", &key, &first.jwt).await;
        // Who is cut off is not let in.
        let answered = async || is_connected(&again) || is_cut().await;
        wait::until(wait::SOON, "the bus to answer", answered)
            .await
            .expect("answered");
        for _ in 0..2_000 {
            if is_connected(&again) {
                let subject = subjects::health(&node("node-1"));
                again.client.publish(subject, "".into()).await.ok();
            }
        }
        again.client.drain().await.ok();
        is_cut().await
    };
    wait::until(Duration::from_secs(60), "the node to be cut off", cut)
        .await
        .expect("cut off");
}

#[tokio::test]
async fn requests_beyond_the_budget_of_one_node_leave_those_of_another_alone() {
    let stack = Stack::start_with(&[("BUDGET_CUT_OFF_AFTER", "1000000"), ("BUDGET_SYNCS", "1")]).await;
    let (thief, honest) = (connect_as(&stack, "node-1").await, connect_as(&stack, "node-2").await);
    let request = |id: &str| Envelope::new(sync::request(id)).encode();
    let answered = async |bus: &Bus, id: &str| {
        let asked = bus.client.request(subjects::sync(&node(id)), request(id)).await;
        asked.is_ok_and(|answer| Envelope::<SyncReply>::decode(&answer.payload).is_ok())
    };
    for (bus, id) in [(&thief, "node-1"), (&honest, "node-2")] {
        wait::until(wait::SOON, "a first answer", async || answered(bus, id).await)
            .await
            .expect("answered");
    }

    for _ in 0..5000 {
        let subject = subjects::sync(&node("node-1"));
        let reply = thief.client.new_inbox();
        let sent = thief.client.publish_with_reply(subject, reply, request("node-1"));
        sent.await.expect("published");
    }
    thief.client.flush().await.expect("flushed");

    assert!(answered(&honest, "node-2").await, "another node is answered");
    let dropped = async || server_of(&stack, "node-1").await.over_budget.is_some();
    wait::until(wait::SOON, "the excess to be recorded", dropped)
        .await
        .expect("recorded");
    assert_eq!(server_of(&stack, "node-2").await.over_budget, None);
}

/// After its patience is over a node asks again, and at each new connection: while the database stands still that is more than may wait.
#[tokio::test]
async fn who_asks_again_while_the_database_stands_still_is_not_called_a_thief() {
    const ASKED: usize = 20;
    let stack = Stack::start().await;
    let honest = connect_as(&stack, "node-1").await;
    let request = || Envelope::new(sync::request("node-1")).encode();
    let answered = async || {
        let asked = honest.client.request(subjects::sync(&node("node-1")), request()).await;
        asked.is_ok_and(|answer| Envelope::<SyncReply>::decode(&answer.payload).is_ok())
    };
    wait::until(wait::SOON, "a first answer", answered)
        .await
        .expect("answered");

    let holder = stack.app.db.begin().await.expect("begun");
    let hold = "SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE servers IN ACCESS EXCLUSIVE MODE";
    holder.execute_unprepared(hold).await.expect("locked");
    for _ in 0..ASKED {
        let reply = honest.client.new_inbox();
        let sent = honest
            .client
            .publish_with_reply(subjects::sync(&node("node-1")), reply, request());
        sent.await.expect("published");
    }
    honest.client.flush().await.expect("flushed");
    holder.rollback().await.expect("released");

    wait::until(wait::SOON, "an answer", answered).await.expect("answered");
    assert_eq!(server_of(&stack, "node-1").await.over_budget, None);
}
