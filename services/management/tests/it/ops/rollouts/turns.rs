//! The turns of nodes: one after another, also when a replica dies in the middle.

use vpnmanager_entities::{
    rollout::RolloutState,
    rollout_node::RolloutNodeState::{Done, Draining, Restarting, Waiting},
};
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        credentials::revoke_node::NodeCredentials,
        nodes::change::NodeChange,
        rollouts::{
            RolloutError,
            go_on::advance_rollouts,
            read::read_rollout,
            start::{Restarts, StartRolloutError, start_rollout},
        },
    },
};
use vpnmanager_nats::heartbeats::OpenvpnState;
use vpnmanager_testbed::wait;

use super::{DRAINED, Fleet, actor, audited, node, of, states};
use crate::database::run;

const UNDER_CLIENTS: Restarts = Restarts {
    drain: false,
    ..DRAINED
};

#[tokio::test]
async fn one_node_after_another_is_drained_restarted_and_undrained() {
    let fleet = Fleet::of(&["node-1", "node-2", "node-3"]).await;
    let begun = fleet.start(DRAINED).await.expect("begun");
    assert_eq!(states(&begun), [Waiting; 3]);
    let again = fleet.start(DRAINED).await;
    assert!(matches!(again, Err(StartRolloutError::IsRunning)), "{again:?}");
    let first = &fleet.nodes[0];
    fleet.reaches("node-1", Draining).await;
    assert!(first.is_drained(&fleet.stack).await);
    first.says(|beat| beat.draining = true);
    let left = |view: &super::RolloutView| of(view, "node-1").sessions_left == Some(3);
    let view = fleet.until("the sessions that are left", left).await;
    assert_eq!(states(&view), [Draining, Waiting, Waiting]);

    for fake in &fleet.nodes {
        fleet.restarts(fake).await;
        assert!(!fake.is_drained(&fleet.stack).await);
        assert_eq!(fake.asked(), 1);
    }

    let view = fleet.ends().await;
    assert_eq!((view.rollout.state, states(&view)), (RolloutState::Done, vec![Done; 3]));
    assert!(view.rollout.ended_at.is_some());
    for (action, rows) in [
        (AuditAction::RolloutStarted, 1),
        (AuditAction::NodeDrained, 3),
        (AuditAction::NodeRestarted, 3),
        (AuditAction::NodeUndrained, 3),
        (AuditAction::RolloutEnded, 1),
    ] {
        let found = audited(&fleet.stack, action).await;
        assert_eq!(found.len(), rows, "{action}");
        assert!(found.iter().all(|row| row.actor == "key:test"), "{action}");
    }
    let ended = audited(&fleet.stack, AuditAction::RolloutEnded).await;
    assert_eq!(ended[0].details.as_deref(), Some("done, 3 restarted, 0 skipped"));
    assert!(!advance_rollouts(&fleet.stack.app).await.expect("looked"));
    let next = fleet.start(DRAINED).await.expect("begun anew");
    assert!(next.rollout.id > view.rollout.id);
}

#[tokio::test]
async fn without_a_drain_one_node_is_restarted_under_its_clients() {
    let fleet = Fleet::of(&["node-1"]).await;
    let refused = fleet.start(DRAINED).await;
    assert!(matches!(refused, Err(StartRolloutError::OnlyOne)), "{refused:?}");

    fleet.start(UNDER_CLIENTS).await.expect("begun");
    fleet.begins("node-1").await;
    fleet.nodes[0].comes_back();

    assert_eq!(fleet.ends().await.rollout.state, RolloutState::Done);
    assert!(audited(&fleet.stack, AuditAction::NodeDrained).await.is_empty());
}

#[tokio::test]
async fn who_does_not_leave_is_restarted_under_when_the_time_is_over() {
    let fleet = Fleet::draining().await;
    fleet.nodes[0].says(|beat| beat.draining = true);

    let long_ago = "UPDATE rollout_nodes SET since = now() - interval '601 seconds' WHERE state = 'draining'";
    run(&fleet.stack.app.db, long_ago).await;

    fleet.reaches("node-1", Restarting).await;
}

/// It died after it had sent the request, and before it recorded the answer.
#[tokio::test]
async fn where_a_replica_died_another_goes_on() {
    let fleet = Fleet::restarting().await;
    let first = &fleet.nodes[0];
    let forgotten =
        "UPDATE rollout_nodes SET begun_at = NULL, asked_at = now() - interval '1 minute' WHERE state = 'restarting'";
    run(&fleet.stack.app.db, forgotten).await;

    // Two replicas at once.
    let (one, other) = tokio::join!(advance_rollouts(&fleet.stack.app), advance_rollouts(&fleet.stack.app));
    assert!(one.expect("done") && other.expect("done"));
    let is_asked = async || first.asked() == 2;
    wait::until(wait::SOON, "the second request", is_asked)
        .await
        .expect("asked");
    fleet.begins("node-1").await;

    first.comes_back();
    fleet.reaches("node-1", Done).await;
    assert_eq!(first.asked(), 2);
}

/// It accepted the restart, and started anew itself before it carried it out.
#[tokio::test]
async fn an_agent_that_forgot_the_restart_is_asked_again() {
    let fleet = Fleet::restarting().await;
    let first = &fleet.nodes[0];
    first.says(|beat| beat.openvpn = OpenvpnState::Up);
    let earlier = "UPDATE rollout_nodes SET asked_at = asked_at - interval '20 seconds', begun_at = begun_at - interval '20 seconds'
                   WHERE state = 'restarting'";
    run(&fleet.stack.app.db, earlier).await;

    fleet.until("the second request", |_| first.asked() == 2).await;

    let restarts = async || audited(&fleet.stack, AuditAction::NodeRestarted).await.len() == 2;
    wait::until(wait::SOON, "the answer", restarts).await.expect("recorded");
    first.comes_back();
    fleet.reaches("node-1", Done).await;
    assert_eq!(first.asked(), 2);
}

#[tokio::test]
async fn a_node_goes_back_to_its_turn_when_nobody_can_take_its_clients_any_more() {
    let fleet = Fleet::draining().await;

    let disable = NodeChange::Disable(NodeCredentials::Keep);
    fleet.change("node-2", disable).await.expect("disabled");

    let waits = fleet.reaches("node-1", Waiting).await;
    let reason = "no other server of the pool could take its clients";
    assert_eq!(waits.detail.as_deref(), Some(reason));
    assert!(waits.held_up_since.is_some());
    assert!(!fleet.nodes[0].is_drained(&fleet.stack).await);
    fleet.change("node-2", NodeChange::Enable).await.expect("enabled");
    fleet.reaches("node-1", Draining).await;
}

#[tokio::test]
async fn one_that_fails_again_and_again_keeps_no_other_from_its_turn() {
    let fleet = Fleet::of(&["node-1", "node-2", "node-3", "node-4"]).await;
    let app = &fleet.stack.app;
    run(
        &app.db,
        "INSERT INTO pools (name) VALUES ('sales');
         UPDATE servers SET pool = 'sales' WHERE name IN ('node-3', 'node-4');
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON rollout_nodes FOR EACH ROW WHEN (NEW.server_id = 'node-1') EXECUTE FUNCTION refuse()",
    )
    .await;
    fleet.start(DRAINED).await.expect("begun");

    let sales = node("sales");
    start_rollout(app, &actor(), &sales, DRAINED).await.expect("begun");

    let drains = async || {
        for fake in &fleet.nodes {
            fake.beats(&fleet.stack).await;
        }
        let view = read_rollout(&app.db, &sales).await.expect("there");
        of(&view, "node-3").state == Draining
    };
    wait::until(wait::SOON, "the turn of node-3", drains)
        .await
        .expect("in time");
    assert_eq!(states(&fleet.view().await), [Waiting; 2]);
}

#[tokio::test]
async fn nodes_without_openvpn_and_those_that_were_never_heard_do_not_count() {
    let fleet = Fleet::of_two().await;
    super::super::enrol(&fleet.stack, "node-3").await;
    fleet.nodes[1].says(|beat| beat.openvpn = OpenvpnState::Absent);
    fleet.nodes[1].beats(&fleet.stack).await;
    let alone = fleet.start(DRAINED).await;
    assert!(matches!(alone, Err(StartRolloutError::OnlyOne)), "{alone:?}");

    fleet.nodes[0].says(|beat| beat.openvpn = OpenvpnState::Absent);
    fleet.nodes[0].beats(&fleet.stack).await;

    for restarts in [DRAINED, UNDER_CLIENTS] {
        let nobody = fleet.start(restarts).await;
        assert!(matches!(nobody, Err(StartRolloutError::NobodyServes)), "{nobody:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_begun_is_refused() {
    let fleet = Fleet::of(&[]).await;
    let app = &fleet.stack.app;
    let unknown = start_rollout(app, &actor(), &node("nowhere"), DRAINED).await;
    assert!(matches!(unknown, Err(StartRolloutError::UnknownPool)), "{unknown:?}");
    let unknown = read_rollout(&app.db, &node("nowhere")).await;
    assert!(matches!(unknown, Err(RolloutError::UnknownPool)), "{unknown:?}");
    let never = read_rollout(&app.db, &node("default")).await;
    assert!(matches!(never, Err(RolloutError::NotAsked)), "{never:?}");
    super::super::enrol(&fleet.stack, "node-1").await;
    let unheard = fleet.start(DRAINED).await;
    assert!(matches!(unheard, Err(StartRolloutError::NobodyServes)), "{unheard:?}");
}
