//! Two agents with the same identity.

use chrono::{TimeDelta, Utc};
use vpnmanager_entities::server::NodeState;
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        nodes::{answer_sync::answer_sync, received::Received, record_heartbeats::record_heartbeats},
        reports::apply_reports::apply_reports,
    },
};
use vpnmanager_nats::{
    acks::Ack,
    events::{Event, EventKind},
    heartbeats::OpenvpnState,
    ids::{AgentInstance, EventId},
    sync::{SyncAnswer, SyncRequest},
};

use super::{applied, audited, create, enrol, node, node_view, nodes::heartbeat, sync::request, view};
use crate::stack::Stack;

async fn hears(stack: &Stack, instance: AgentInstance, second: i64) {
    let mut received = heartbeat("node-1", OpenvpnState::Up);
    let at = Utc::now() - TimeDelta::seconds(60 - second);
    received.heartbeat.instance = instance;
    received.heartbeat.at = at;
    let batch = [Received { at, ..received }];
    record_heartbeats(&stack.app.db, stack.app.config.health, &batch)
        .await
        .expect("recorded");
}

async fn syncs(stack: &Stack, instance: AgentInstance) -> SyncAnswer {
    let request = SyncRequest {
        instance,
        ..request("node-1")
    };
    answer_sync(&stack.app, &request).await.expect("answered")
}

#[tokio::test]
async fn a_clone_is_refused_and_audited_once_and_the_node_gets_everything_again() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let (elder, clone) = (AgentInstance::new(), AgentInstance::new());
    hears(&stack, elder, 0).await;
    hears(&stack, clone, 3).await;
    assert!(
        !matches!(syncs(&stack, clone).await, SyncAnswer::Refused { .. }),
        "it may be a restart"
    );
    for second in [5, 10, 15] {
        hears(&stack, elder, second).await;
        hears(&stack, clone, second + 3).await;
    }
    hears(&stack, elder, 20).await;

    let seen = node_view(&stack, "node-1").await;
    assert_eq!(seen.server.state, NodeState::Degraded);
    assert!(seen.server.state_reason.expect("a reason").contains("second agent"));
    assert_eq!(
        seen.health.expect("health").instance,
        elder,
        "a clone says nothing about the node"
    );
    assert_eq!(audited(&stack, AuditAction::NodeCloned).await.len(), 1);
    for _ in 0..2 {
        let answer = syncs(&stack, clone).await;
        assert!(matches!(answer, SyncAnswer::Refused { .. }), "{answer:?}");
    }
    assert_eq!(audited(&stack, AuditAction::NodeResyncStarted).await.len(), 1);
    let answer = syncs(&stack, elder).await;
    assert!(matches!(answer, SyncAnswer::Resync { .. }), "{answer:?}");
    let answer = syncs(&stack, elder).await;
    assert!(matches!(answer, SyncAnswer::Ok { .. }), "{answer:?}");

    hears(&stack, clone, 52).await;
    assert!(
        !matches!(syncs(&stack, clone).await, SyncAnswer::Refused { .. }),
        "the elder is silent"
    );
    assert_eq!(audited(&stack, AuditAction::NodeCloneAccepted).await.len(), 1);
}

#[tokio::test]
async fn what_a_refused_run_reports_counts_for_nothing() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let (elder, clone) = (AgentInstance::new(), AgentInstance::new());
    for second in [0, 5, 10, 15] {
        hears(&stack, elder, second).await;
        hears(&stack, clone, second + 3).await;
    }
    assert_eq!(audited(&stack, AuditAction::NodeCloned).await.len(), 1);
    let reports = async |instance| {
        let ack = Ack {
            instance,
            ..applied("node-1", &alice, 1)
        };
        let event = Event {
            id: EventId::new(),
            node: node("node-1"),
            instance,
            at: Utc::now(),
            kind: EventKind::OpenvpnDown {
                reason: "killed".to_owned(),
            },
        };
        apply_reports(&stack.app, &[ack], &[event]).await.expect("recorded");
        let alice = view(&stack, "alice").await.expect("there");
        (
            alice.placements[0].applied_revision,
            audited(&stack, AuditAction::OpenvpnDown).await.len(),
        )
    };
    assert_eq!(reports(clone).await, (0, 0));
    assert_eq!(reports(elder).await, (1, 1));
}

#[tokio::test]
async fn an_agent_that_restarts_again_and_again_is_no_clone() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    for restart in 0..6 {
        let run = AgentInstance::new();
        hears(&stack, run, 6 * restart).await;
        hears(&stack, run, 6 * restart + 5).await;
        assert!(!matches!(syncs(&stack, run).await, SyncAnswer::Refused { .. }));
    }
    assert_eq!(audited(&stack, AuditAction::NodeCloned).await.len(), 0);
}
