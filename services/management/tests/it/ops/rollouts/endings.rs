//! How rollouts end before all nodes had their turn: by an operator, or because they cannot go on.

use vpnmanager_entities::{
    rollout::RolloutState,
    rollout_node::RolloutNodeState::{Done, Draining, Failed, Restarting, Skipped, Waiting},
};
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        nodes::change::NodeChange,
        rollouts::{RolloutError, RolloutView, start::StartRolloutError, stop::stop_rollout},
    },
};
use vpnmanager_nats::heartbeats::OpenvpnState;

use super::{DRAINED, Fleet, actor, audited, node, of, states};
use crate::database::run;

async fn stop(fleet: &Fleet) -> Result<RolloutView, RolloutError> {
    stop_rollout(&fleet.stack.app, &actor(), &node("default")).await
}

async fn assert_not_running(fleet: &Fleet) {
    let none = stop(fleet).await;
    assert!(matches!(none, Err(RolloutError::NotRunning)), "{none:?}");
}

#[tokio::test]
async fn one_that_waits_is_stopped_at_once() {
    let fleet = Fleet::held_up().await;
    assert_eq!(states(&fleet.view().await), [Waiting, Waiting]);

    let view = stop(&fleet).await.expect("stopped");

    assert_eq!(
        (view.rollout.state, states(&view)),
        (RolloutState::Stopped, vec![Skipped; 2])
    );
    assert_not_running(&fleet).await;
    let ended = audited(&fleet.stack, AuditAction::RolloutEnded).await;
    let said = "stopped, 0 restarted, 2 skipped; stopped by key:test";
    assert_eq!(ended[0].details.as_deref(), Some(said));
    assert!(audited(&fleet.stack, AuditAction::NodeDrained).await.is_empty());
}

#[tokio::test]
async fn a_node_that_is_drained_is_undrained_at_once() {
    let fleet = Fleet::draining().await;

    let view = stop(&fleet).await.expect("stopped");

    assert_eq!(
        (view.rollout.state, states(&view)),
        (RolloutState::Stopped, vec![Skipped; 2])
    );
    assert!(!fleet.nodes[0].is_drained(&fleet.stack).await);
    assert_eq!(audited(&fleet.stack, AuditAction::NodeUndrained).await.len(), 1);
    assert_eq!(fleet.nodes[0].asked(), 0);
}

#[tokio::test]
async fn a_node_that_restarts_is_waited_for() {
    let fleet = Fleet::restarting().await;
    let first = &fleet.nodes[0];

    for _ in 0..2 {
        let view = stop(&fleet).await.expect("stopping");
        assert_eq!(
            (view.rollout.state, states(&view)),
            (RolloutState::Running, vec![Restarting, Waiting])
        );
        assert_eq!(view.rollout.stopped_by.as_deref(), Some("key:test"));
    }
    first.comes_back();

    let view = fleet.ends().await;
    assert_eq!(
        (view.rollout.state, states(&view)),
        (RolloutState::Stopped, vec![Done, Skipped])
    );
    assert!(!first.is_drained(&fleet.stack).await);
    assert_not_running(&fleet).await;
}

#[tokio::test]
async fn a_node_that_does_not_come_back_ends_it_and_stays_drained() {
    let fleet = Fleet::restarting().await;
    let first = &fleet.nodes[0];
    first.says(|beat| beat.openvpn = OpenvpnState::Down);

    let long_ago =
        "UPDATE rollout_nodes SET since = now() - interval '3 minutes', begun_at = now() - interval '2 minutes'
                    WHERE state = 'restarting'";
    run(&fleet.stack.app.db, long_ago).await;

    let view = fleet.ends().await;
    assert_eq!(
        (view.rollout.state, states(&view)),
        (RolloutState::Failed, vec![Failed, Skipped])
    );
    let detail = view.rollout.detail.as_deref().expect("a detail");
    assert!(
        detail.contains("node-1 did not come back within 2 minutes")
            && detail.contains("POST /api/endnodes/node-1/undrain"),
        "{detail}"
    );
    assert!(first.is_drained(&fleet.stack).await);
    assert!(!fleet.nodes[1].is_drained(&fleet.stack).await);

    // The next one would take out the next node.
    let again = fleet.start(DRAINED).await;
    assert!(
        matches!(&again, Err(StartRolloutError::LeftDrained(left)) if *left == "node-1"),
        "{again:?}"
    );
    fleet.change("node-1", NodeChange::Undrain).await.expect("undrained");
    first.comes_back();
    first.says(|beat| beat.draining = false);
    first.beats(&fleet.stack).await;
    fleet.start(DRAINED).await.expect("begun anew");
}

/// Nobody knows whether anybody is left on it.
#[tokio::test]
async fn an_openvpn_that_does_not_answer_is_no_empty_one() {
    let fleet = Fleet::draining().await;
    let first = &fleet.nodes[0];
    first.says(|beat| beat.draining = true);
    let three = |view: &RolloutView| of(view, "node-1").sessions_left == Some(3);
    fleet.until("the sessions that are left", three).await;

    first.empties();
    first.says(|beat| beat.openvpn = OpenvpnState::Down);

    let unknown = |view: &RolloutView| of(view, "node-1").sessions_left.is_none();
    let view = fleet.until("nobody to know", unknown).await;
    assert_eq!(states(&view), [Draining, Waiting]);
    assert_eq!(first.asked(), 0);
}

#[tokio::test]
async fn one_that_is_held_up_for_too_long_fails_and_so_does_one_without_its_pool() {
    let fleet = Fleet::held_up().await;

    let long_ago = "UPDATE rollout_nodes SET held_up_since = now() - interval '10 minutes' WHERE server_id = 'node-1'";
    run(&fleet.stack.app.db, long_ago).await;

    let view = fleet.ends().await;
    let detail = view.rollout.detail.as_deref().expect("a detail");
    assert_eq!(view.rollout.state, RolloutState::Failed);
    assert!(detail.contains("for 10 minutes: node-2 is degraded"), "{detail}");

    fleet.start(DRAINED).await.expect("begun anew");
    run(&fleet.stack.app.db, "DELETE FROM pools").await;
    let ended = async || audited(&fleet.stack, AuditAction::RolloutEnded).await.len() == 2;
    vpnmanager_testbed::wait::until(vpnmanager_testbed::wait::SOON, "the end", ended)
        .await
        .expect("ended");
    let rows = audited(&fleet.stack, AuditAction::RolloutEnded).await;
    let said = rows[1].details.as_deref().expect("details");
    assert!(said.ends_with(": the pool was deleted"), "{said}");
}
