//! Lost nodes: their users get another home, and they are readmitted when they are healthy and in sync.

use std::{collections::BTreeMap, time::Duration};

use chrono::Utc;
use vpnmanager_entities::placement::Role;
use vpnmanager_management::{
    domain::{audit_action::AuditAction, placement::Goal},
    ops::{
        nodes::record_heartbeats::record_heartbeats,
        placement::{fill::place_users, readmit::readmit_nodes, rehome::rehome_users},
        reports::apply_reports::apply_reports,
    },
};
use vpnmanager_nats::heartbeats::OpenvpnState;
use vpnmanager_testbed::wait;

use super::{applied, audited, create, create_on, fleet, issuers, nodes::heartbeat, server_of, view};
use crate::database::run;
use crate::stack::Stack;

const AFTER: Duration = Duration::from_secs(300);

async fn lose_node_1(stack: &Stack, ago: &str) {
    run(
        &stack.app.db,
        &format!("UPDATE servers SET state = 'lost', lost_since = now() - interval '{ago}' WHERE name = 'node-1'"),
    )
    .await;
}

async fn homes(stack: &Stack, names: &[String]) -> BTreeMap<String, usize> {
    let mut homes = BTreeMap::new();
    for name in names {
        *homes
            .entry(view(stack, name).await.expect("there").user.server_id.to_string())
            .or_default() += 1;
    }
    homes
}

#[tokio::test]
async fn the_homes_of_a_node_that_stays_lost_are_spread_over_its_standbys_once() {
    let stack = fleet(3).await;
    let names: Vec<String> = (0..30).map(|number| format!("user{number}")).collect();
    for name in &names {
        create_on(&stack, "node-1", name).await;
    }
    lose_node_1(&stack, "4 minutes").await;
    let early = rehome_users(&stack.app, AFTER).await.expect("looked");
    assert_eq!((early.users, homes(&stack, &names).await["node-1"]), (0, 30));

    lose_node_1(&stack, "6 minutes").await;
    let (one, other) = tokio::join!(rehome_users(&stack.app, AFTER), rehome_users(&stack.app, AFTER));
    one.and(other).expect("moved");
    let moved = async || !homes(&stack, &names).await.contains_key("node-1");
    wait::until(wait::SOON, "all users to have another home", moved)
        .await
        .expect("moved");

    let homes = homes(&stack, &names).await;
    assert!(homes.len() == 2 && homes.values().all(|count| *count >= 5), "{homes:?}");
    assert_eq!(audited(&stack, AuditAction::UserRehomed).await.len(), 30);
    for name in &names {
        let user = view(&stack, name).await.expect("there");
        assert!(
            user.placements
                .iter()
                .all(|placement| placement.wanted_revision == user.user.revision)
        );
        let roles: Vec<(&str, Role)> = user
            .placements
            .iter()
            .filter(|placement| placement.role == Role::Home || placement.server_id == "node-1")
            .map(|placement| (placement.server_id.as_str(), placement.role))
            .collect();
        assert_eq!(
            roles,
            [(user.user.server_id.as_str(), Role::Home), ("node-1", Role::Standby)]
        );
        assert_eq!(
            issuers(&stack, &user).await,
            ["node-1", user.user.server_id.as_str()],
            "the old profile stays valid"
        );
    }
    assert_eq!(rehome_users(&stack.app, AFTER).await.expect("looked").users, 0);
}

#[tokio::test]
async fn whoever_returns_first_inherits_nothing_from_those_that_were_away_with_it() {
    let stack = fleet(3).await;
    let names: Vec<String> = (0..5).map(|number| format!("user{number}")).collect();
    for name in &names {
        create_on(&stack, "node-1", name).await;
    }
    let before = homes(&stack, &names).await;
    let db = &stack.app.db;
    run(
        db,
        "UPDATE servers SET state = 'lost', lost_since = now() - interval '1 hour'",
    )
    .await;
    let hear = async |id: &str| {
        let beat = heartbeat(id, OpenvpnState::Up);
        record_heartbeats(db, stack.app.config.health, &[beat])
            .await
            .expect("recorded");
        run(db, "UPDATE servers SET lost_since = NULL WHERE state = 'healthy'").await;
    };
    hear("node-2").await;
    let goal = Goal {
        replicas: 2,
        lost_before: Utc::now() - AFTER,
    };
    assert_eq!(rehome_users(&stack.app, AFTER).await.expect("looked").users, 0);
    place_users(db, goal).await.expect("looked");
    assert_eq!(homes(&stack, &names).await, before, "node-1 has no time to return");
    assert_eq!(audited(&stack, AuditAction::UserPlaced).await.len(), 0);

    run(
        db,
        "UPDATE servers SET heard_since = now() - interval '6 minutes' WHERE name = 'node-2'",
    )
    .await;
    hear("node-2").await;
    assert_eq!(
        rehome_users(&stack.app, AFTER).await.expect("moved").users,
        5,
        "it did not return"
    );
}

#[tokio::test]
async fn a_standby_that_is_not_well_inherits_nothing() {
    let stack = fleet(2).await;
    create_on(&stack, "node-1", "alice").await;
    lose_node_1(&stack, "1 hour").await;
    for unfit in [
        "state = 'degraded'",
        "state = 'healthy', resync_since = now()",
        "resync_since = NULL, draining = true",
        "draining = false, enabled = false",
        "enabled = true, lost_since = now()",
        "lost_since = NULL, last_sync = NULL",
    ] {
        run(
            &stack.app.db,
            &format!("UPDATE servers SET {unfit} WHERE name = 'node-2'"),
        )
        .await;
        assert_eq!(
            rehome_users(&stack.app, AFTER).await.expect("looked").users,
            0,
            "{unfit}"
        );
    }
    assert_eq!(view(&stack, "alice").await.expect("there").user.server_id, "node-1");
}

#[tokio::test]
async fn users_of_a_lost_node_get_another_standby_and_new_users_avoid_it() {
    let stack = fleet(4).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    assert_eq!(alice.placements.len(), 3);
    lose_node_1(&stack, "1 hour").await;
    stack.app.placer.wake();

    let everywhere = async || view(&stack, "alice").await.expect("there").placements.len() == 4;
    wait::until(wait::SOON, "alice to have three nodes that are there", everywhere)
        .await
        .expect("placed");
    let bob = create(&stack, "bob").await;
    assert!(bob.placements.iter().all(|placement| placement.server_id != "node-1"));
}

#[tokio::test]
async fn a_returned_node_is_readmitted_when_it_is_in_sync_and_gets_no_home_back() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    lose_node_1(&stack, "1 hour").await;
    rehome_users(&stack.app, AFTER).await.expect("moved");
    assert_eq!(view(&stack, "alice").await.expect("there").user.server_id, "node-2");
    let published = async || {
        let alice = view(&stack, "alice").await.expect("there");
        let mut placements = alice.placements.iter();
        placements.all(|placement| placement.published_revision >= placement.wanted_revision)
    };
    wait::until(wait::SOON, "the move to be published", published)
        .await
        .expect("published");
    let readmit = async || {
        readmit_nodes(&stack.app.db).await.expect("looked");
        server_of(&stack, "node-1").await.lost_since.is_none()
    };
    assert!(!readmit().await, "it is away");

    record_heartbeats(
        &stack.app.db,
        stack.app.config.health,
        &[heartbeat("node-1", OpenvpnState::Up)],
    )
    .await
    .expect("recorded");
    run(
        &stack.app.db,
        "UPDATE servers SET last_sync = now() - interval '2 hours' WHERE name = 'node-1'",
    )
    .await;
    assert!(!readmit().await, "it has not synced since");
    run(
        &stack.app.db,
        "UPDATE servers SET last_sync = now() WHERE name = 'node-1'",
    )
    .await;
    run(
        &stack.app.db,
        "UPDATE placements SET published_at = now() - interval '1 hour', published_revision = 99",
    )
    .await;
    assert!(!readmit().await, "it has not applied what waits for it");

    let revision = view(&stack, "alice").await.expect("there").user.revision;
    apply_reports(&stack.app, &[applied("node-1", &alice, revision)], &[])
        .await
        .expect("recorded");
    wait::until(wait::SOON, "the node to be taken back", readmit)
        .await
        .expect("readmitted");
    assert_eq!(audited(&stack, AuditAction::NodeReadmitted).await.len(), 1);
    assert_eq!(view(&stack, "alice").await.expect("there").user.server_id, "node-2");
}
