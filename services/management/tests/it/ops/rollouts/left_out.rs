//! Nodes that a rollout leaves out.

use vpnmanager_entities::{
    rollout::RolloutState,
    rollout_node::RolloutNodeState::{Done, Draining, Skipped},
};
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{credentials::revoke_node::NodeCredentials, nodes::change::NodeChange},
};

use super::{DRAINED, Fleet, audited, of, states};

const EXTERNAL: &str = "OpenVPN of this node is not the agent's (OPENVPN_MODE=external): restart it there";

async fn change(fleet: &Fleet, id: &str, change: NodeChange) {
    fleet.change(id, change).await.expect("changed");
}

#[tokio::test]
async fn nodes_that_operators_took_out_or_that_were_never_heard_are_skipped() {
    let fleet = Fleet::of(&["node-1", "node-2", "node-3", "node-5"]).await;
    change(&fleet, "node-1", NodeChange::Disable(NodeCredentials::Keep)).await;
    change(&fleet, "node-2", NodeChange::Drain).await;
    super::super::enrol(&fleet.stack, "node-4").await;
    fleet.start(DRAINED).await.expect("begun");

    for number in [2, 3] {
        fleet.restarts(&fleet.nodes[number]).await;
    }

    let view = fleet.ends().await;
    assert_eq!(states(&view), [Skipped, Skipped, Done, Skipped, Done]);
    for (id, reason) in [
        ("node-1", "it is disabled"),
        ("node-2", "it is drained"),
        ("node-4", "it was never heard"),
    ] {
        assert_eq!(of(&view, id).detail.as_deref(), Some(reason));
    }
    assert!(fleet.nodes[1].is_drained(&fleet.stack).await, "by an operator");
}

#[tokio::test]
async fn a_node_whose_agent_refuses_or_is_too_old_is_skipped_and_nobody_is_moved_for_it() {
    let fleet = Fleet::of_two().await;
    let old =
        "the payload is not a valid message: unknown variant `restart_server`, expected one of `profile`, `sessions`";
    for (fake, error) in fleet.nodes.iter().zip([EXTERNAL, old]) {
        fake.refuses(error);
    }
    fleet.start(DRAINED).await.expect("begun");

    let view = fleet.ends().await;

    assert_eq!(
        (view.rollout.state, states(&view)),
        (RolloutState::Done, vec![Skipped; 2])
    );
    for (fake, reason) in fleet.nodes.iter().zip([EXTERNAL, "its agent is too old: update it"]) {
        assert_eq!(of(&view, fake.id).detail.as_deref(), Some(reason));
        assert_eq!(fake.asked(), 0);
    }
    let ended = audited(&fleet.stack, AuditAction::RolloutEnded).await;
    assert_eq!(ended[0].details.as_deref(), Some("done, 0 restarted, 2 skipped"));
    for action in [AuditAction::NodeDrained, AuditAction::NodeRestarted] {
        assert!(audited(&fleet.stack, action).await.is_empty(), "{action}");
    }
}

#[tokio::test]
async fn a_node_that_refuses_once_it_is_drained_is_undrained_and_skipped() {
    let fleet = Fleet::draining().await;
    let first = &fleet.nodes[0];
    first.refuses(EXTERNAL);
    first.empties();

    let skipped = fleet.reaches("node-1", Skipped).await;

    assert_eq!(skipped.detail.as_deref(), Some(EXTERNAL));
    assert_eq!(first.asked(), 1);
    assert!(!first.is_drained(&fleet.stack).await);
}

#[tokio::test]
async fn what_an_agent_says_is_cut_and_cleaned_before_it_is_recorded() {
    let fleet = Fleet::of_two().await;
    let error = format!("no\\u0000\\u001b[2J{}", "x".repeat(600));
    let raw = format!(r#"{{"v":1,"type":"failed","error":"{error}"}}"#);
    fleet.nodes[0].answers(raw.into());
    fleet.start(DRAINED).await.expect("begun");

    let skipped = fleet.reaches("node-1", Skipped).await;

    let detail = skipped.detail.expect("a detail");
    assert!(detail.starts_with("no\u{fffd}\u{fffd}[2Jxx"), "{detail}");
    assert_eq!(detail.chars().count(), 500);
}

/// The operator wants it drained, whoever drained it first.
#[tokio::test]
async fn a_node_that_an_operator_drains_meanwhile_is_restarted_and_stays_drained() {
    let fleet = Fleet::draining().await;
    let first = &fleet.nodes[0];
    let drains = async || audited(&fleet.stack, AuditAction::NodeDrained).await;
    assert_eq!(drains().await.len(), 1);

    for _ in 0..2 {
        change(&fleet, "node-1", NodeChange::Drain).await;
        let rows = drains().await;
        assert_eq!(rows.len(), 2, "once");
        assert_eq!(rows[1].before, rows[1].after);
    }

    first.empties();
    fleet.begins("node-1").await;
    first.comes_back();
    fleet.reaches("node-1", Done).await;
    assert!(first.is_drained(&fleet.stack).await);
    assert!(audited(&fleet.stack, AuditAction::NodeUndrained).await.is_empty());
}

#[tokio::test]
async fn a_node_that_an_operator_takes_back_is_skipped() {
    let fleet = Fleet::draining().await;

    change(&fleet, "node-1", NodeChange::Undrain).await;

    let skipped = fleet.reaches("node-1", Skipped).await;
    assert_eq!(skipped.detail.as_deref(), Some("an operator took it back"));
    assert_eq!(audited(&fleet.stack, AuditAction::NodeUndrained).await.len(), 1);
    fleet.reaches("node-2", Draining).await;
}
