//! Nodes that join, go silent and leave.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use vpnmanager_entities::{
    audit_log, bus_revocation, credential, health_history,
    placement::Role,
    server::{self, NodeState},
};
use vpnmanager_management::ops::{
    credentials::revoke_node::NodeCredentials,
    nodes::{
        assess_ages::assess_ages,
        deregister::{DeregisterNodeError, deregister_node},
        note_hearing::{note_deafness, note_hearing},
        read::get_node,
        received::{Received, Speaker},
        record_heartbeats::record_heartbeats,
    },
    users::remove::remove_user,
};
use vpnmanager_management::{app::App, database_clock::DatabaseClock, domain::continuity::Moment, hearing::Hearing};
use vpnmanager_nats::{
    heartbeats::{Heartbeat, OpenvpnHealth, OpenvpnState},
    ids::AgentInstance,
    sync::StateDigest,
};
use vpnmanager_testbed::wait;

use super::{actor, create, enrol, in_sync, node, server_of, view};
use crate::{database::run, logs::Logs, stack::Stack};

/// The node was last heard 40 s ago: by default that is lost.
async fn fall_silent(stack: &Stack, id: &str) {
    let mut last = heartbeat(id, OpenvpnState::Up);
    last.at -= TimeDelta::seconds(40);
    last.heartbeat.at = last.at;
    record_heartbeats(&stack.app.db, stack.app.config.health, &[last])
        .await
        .expect("recorded");
}

/// A replica that has heard everything for so long.
pub(crate) fn hears_since(stack: &Stack, ago: TimeDelta) -> App {
    App {
        hearing: Hearing::new(Utc::now() - ago),
        ..stack.app.clone()
    }
}

pub(crate) fn heartbeat(id: &str, state: OpenvpnState) -> Received {
    let heartbeat = Heartbeat {
        node: node(id),
        instance: AgentInstance::new(),
        at: Utc::now(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: 1,
        openvpn: OpenvpnHealth {
            state,
            pid: Some(1),
            version: None,
            sessions: 3,
            capacity: 100,
            bytes_in: 1,
            bytes_out: 2,
            detail: None,
        },
        users: 0,
        digest: StateDigest::default(),
        last_sequence: 0,
        complete: true,
        queued_intents: 0,
        draining: false,
        disk_free_bytes: None,
        fault: None,
        certificate_expires_at: None,
        network: None,
        groups: None,
    };
    Received {
        heartbeat,
        at: Utc::now(),
        by: Speaker::Agent,
    }
}

/// Its agent says that of OpenVPN, and that all else is well.
pub(crate) async fn hear(stack: &Stack, id: &str, state: OpenvpnState) {
    record_heartbeats(&stack.app.db, stack.app.config.health, &[heartbeat(id, state)])
        .await
        .expect("recorded");
}

/// Enrols a node that is heard and in sync, and runs OpenVPN.
pub(crate) async fn serves(stack: &Stack, id: &str) {
    enrol(stack, id).await;
    hear(stack, id, OpenvpnState::Up).await;
    in_sync(stack, id).await;
}

async fn state(stack: &Stack, id: &str) -> NodeState {
    server_of(stack, id).await.state
}

#[tokio::test]
async fn each_change_of_state_is_recorded_and_audited_once() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let db = &stack.app.db;
    for openvpn in [OpenvpnState::Up, OpenvpnState::Up, OpenvpnState::Down] {
        hear(&stack, "node-1", openvpn).await;
    }
    assert_eq!(state(&stack, "node-1").await, NodeState::Degraded);

    fall_silent(&stack, "node-1").await;
    let app = hears_since(&stack, TimeDelta::hours(1));
    let (one, other) = tokio::join!(assess_ages(&app), assess_ages(&app));
    one.and(other).expect("assessed");
    assert_eq!(state(&stack, "node-1").await, NodeState::Lost);

    let changes = audit_log::Entity::find().filter(audit_log::COLUMN.action.eq("node_state_changed"));
    let changes: Vec<_> = changes
        .all(db)
        .await
        .expect("read")
        .into_iter()
        .filter_map(|row| row.after)
        .collect();
    let states: Vec<&str> = changes.iter().filter_map(|after| after["state"].as_str()).collect();
    assert_eq!(states, ["healthy", "degraded", "healthy", "lost"]);
}

#[tokio::test]
async fn a_node_that_changes_its_state_all_the_time_fills_no_history() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let run = heartbeat("node-1", OpenvpnState::Up).heartbeat.instance;
    for state in [OpenvpnState::Up, OpenvpnState::Down].into_iter().cycle().take(100) {
        let mut received = heartbeat("node-1", state);
        received.heartbeat.instance = run;
        record_heartbeats(&stack.app.db, stack.app.config.health, &[received])
            .await
            .expect("recorded");
    }
    let samples = health_history::Entity::find()
        .count(&stack.app.db)
        .await
        .expect("counted");
    // And one for each minute that begins meanwhile.
    assert!((30..=33).contains(&samples), "{samples}");
}

#[tokio::test]
async fn a_heartbeat_of_an_unknown_node_is_dropped() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let batch = [
        heartbeat("node-9", OpenvpnState::Up),
        heartbeat("node-1", OpenvpnState::Up),
    ];
    record_heartbeats(&stack.app.db, stack.app.config.health, &batch)
        .await
        .expect("recorded");
    assert_eq!(state(&stack, "node-1").await, NodeState::Healthy);
    assert!(get_node(&stack.app, &node("node-9")).await.expect("read").is_none());
}

#[tokio::test]
async fn the_users_of_a_node_that_leaves_are_homed_elsewhere_and_nothing_waits_for_it() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let names: Vec<String> = (0..12).map(|number| format!("user{number}")).collect();
    for name in &names {
        create(&stack, name).await;
    }
    create(&stack, "leaving").await;
    remove_user(&stack.app, &actor(), &"leaving".parse().expect("valid"))
        .await
        .expect("removed");
    let key = server_of(&stack, "node-1").await.bus_public_key;

    deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep)
        .await
        .expect("deregistered");

    for name in &names {
        let user = view(&stack, name).await.expect("there");
        assert_eq!(user.user.server_id, "node-2");
        let placed: Vec<_> = user
            .placements
            .iter()
            .map(|placement| (placement.server_id.as_str(), placement.role))
            .collect();
        assert_eq!(placed, [("node-2", Role::Home)]);
        assert_eq!(user.placements[0].wanted_revision, user.user.revision);
        let homed = credential::Entity::find()
            .filter(credential::COLUMN.user_id.eq(user.user.id))
            .filter(credential::Column::ServerId.eq(node("node-2")));
        assert_eq!(
            homed.all(&stack.app.db).await.expect("read").len(),
            1,
            "the new home has something to issue"
        );
    }
    assert!(
        bus_revocation::Entity::find_by_id(key)
            .one(&stack.app.db)
            .await
            .expect("read")
            .is_some()
    );
    let again = deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep).await;
    assert!(matches!(again, Err(DeregisterNodeError::UnknownServer)), "{again:?}");
}

#[tokio::test]
async fn a_node_that_joins_gets_the_users_that_lack_one() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    enrol(&stack, "node-2").await;

    let both = async || view(&stack, "alice").await.expect("there").placements.len() == 2;
    wait::until(wait::SOON, "alice stands on both nodes", both)
        .await
        .expect("placed");

    let alice = view(&stack, "alice").await.expect("there");
    assert_eq!((alice.user.revision, alice.user.server_id.as_str()), (2, "node-1"));
    assert!(alice.placements.iter().all(|placement| placement.wanted_revision == 2));
}

#[tokio::test]
async fn the_last_node_may_leave_and_the_next_one_takes_its_users() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep)
        .await
        .expect("deregistered");
    assert!(
        server::Entity::find()
            .all(&stack.app.db)
            .await
            .expect("read")
            .is_empty()
    );
    assert!(view(&stack, "alice").await.expect("there").placements.is_empty());

    enrol(&stack, "node-2").await;

    let homed = async || view(&stack, "alice").await.expect("there").user.server_id == "node-2";
    wait::until(wait::SOON, "alice is homed on the new node", homed)
        .await
        .expect("placed");
    let alice = view(&stack, "alice").await.expect("there");
    assert_eq!(alice.placements.len(), 1);
    assert_eq!(alice.placements[0].role, Role::Home);
}

/// These nodes were last heard so many seconds ago.
async fn heard_ago(stack: &Stack, nodes: &[(&str, u32)]) {
    for (id, seconds) in nodes {
        let sql = format!("UPDATE servers SET last_seen = now() - interval '{seconds} s' WHERE name = '{id}'");
        run(&stack.app.db, &sql).await;
    }
}

#[tokio::test]
async fn nodes_that_fall_silent_together_give_one_alarm_and_one_that_dies_alone_is_one() {
    let (together, alone) = (
        "All nodes fell silent together",
        "A node is lost: its clients move to others",
    );
    let stack = Stack::start().await;
    for id in ["node-1", "node-2", "node-3", "node-4"] {
        enrol(&stack, id).await;
        let heard = heartbeat(id, OpenvpnState::Up);
        record_heartbeats(&stack.app.db, stack.app.config.health, &[heard])
            .await
            .expect("recorded");
    }
    let app = hears_since(&stack, TimeDelta::hours(1));
    let logs = Logs::start();

    heard_ago(&stack, &[("node-4", 40)]).await;
    assess_ages(&app).await.expect("assessed");
    assert_eq!(
        (logs.lines("ERROR", alone).len(), logs.lines("ERROR", "").len()),
        (1, 1)
    );

    heard_ago(&stack, &[("node-1", 14), ("node-2", 16), ("node-3", 18)]).await;
    assess_ages(&app).await.expect("assessed");
    assert_eq!(logs.lines("ERROR", together).len(), 0, "node-1 is still heard");
    for seconds in [0, 14] {
        let rest = [
            ("node-1", 16 + seconds),
            ("node-2", 18 + seconds),
            ("node-3", 20 + seconds),
        ];
        heard_ago(&stack, &rest).await;
        assess_ages(&app).await.expect("assessed");
        assess_ages(&app).await.expect("assessed");
    }
    heard_ago(&stack, &[("node-1", 32)]).await;
    assess_ages(&app).await.expect("assessed");
    assert_eq!(state(&stack, "node-1").await, NodeState::Lost);

    let alarms = logs.lines("ERROR", together);
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!((&alarms[0]["nodes"], &alarms[0]["within"]), (&3.into(), &"4 s".into()));
    assert_eq!(logs.lines("ERROR", "").len(), 2, "{:?}", logs.lines("ERROR", ""));
    assert_eq!(logs.lines("WARN", "A node is lost, as all others are").len(), 3);
}

#[tokio::test]
async fn the_silence_of_a_node_counts_only_while_a_replica_could_hear() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let db = &stack.app.db;
    fall_silent(&stack, "node-1").await;

    let deaf = hears_since(&stack, TimeDelta::seconds(10));
    assess_ages(&deaf).await.expect("assessed");
    assert_eq!(state(&stack, "node-1").await, NodeState::Healthy, "it was deaf");
    note_hearing(db, "another-replica", Duration::from_secs(20))
        .await
        .expect("recorded");
    run(db, "UPDATE replicas SET heard_at = heard_at - interval '6 s'").await;
    assess_ages(&deaf).await.expect("assessed");
    let found = state(&stack, "node-1").await;
    assert_eq!(found, NodeState::Healthy, "the other one does not say that it hears");

    note_hearing(db, "another-replica", Duration::from_secs(20))
        .await
        .expect("recorded");
    assess_ages(&deaf).await.expect("assessed");
    assert_eq!(state(&stack, "node-1").await, NodeState::Stale, "the other one heard");
}

#[tokio::test]
async fn a_replica_that_is_deaf_for_ever_keeps_no_other_from_judging() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    fall_silent(&stack, "node-1").await;
    note_deafness(&stack.app.db, "another-replica").await.expect("recorded");

    assess_ages(&hears_since(&stack, TimeDelta::hours(1)))
        .await
        .expect("assessed");
    assert_eq!(state(&stack, "node-1").await, NodeState::Lost);
}

/// This replica's clock is 40 s ahead of the database's; the other one's is right.
#[tokio::test]
async fn a_replica_whose_clock_is_ahead_calls_nobody_lost() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let mut heard = heartbeat("node-1", OpenvpnState::Up);
    heard.at -= TimeDelta::seconds(40);
    heard.heartbeat.at = heard.at;
    record_heartbeats(&stack.app.db, stack.app.config.health, &[heard])
        .await
        .expect("recorded");
    let app = App {
        clock: DatabaseClock::ahead_by(TimeDelta::seconds(-40)),
        ..hears_since(&stack, TimeDelta::hours(1))
    };
    assess_ages(&app).await.expect("assessed");
    assert_eq!(state(&stack, "node-1").await, NodeState::Healthy);
    assess_ages(&hears_since(&stack, TimeDelta::hours(1)))
        .await
        .expect("assessed");
    assert_eq!(state(&stack, "node-1").await, NodeState::Lost, "the control");
}

/// The running service asks the database for its time.
#[tokio::test]
async fn management_knows_the_clock_of_the_database() {
    let stack = Stack::start().await;
    let app = App {
        clock: DatabaseClock::ahead_by(TimeDelta::hours(1)),
        ..stack.app.clone()
    };
    let asked = Utc::now();
    let said = note_hearing(&app.leases, "this-replica", Duration::from_secs(1))
        .await
        .expect("recorded");
    app.clock.said(said, asked);
    assert!(app.clock.ahead().abs() < TimeDelta::seconds(1), "{}", app.clock.ahead());
}

#[tokio::test]
async fn management_that_was_stopped_or_whose_clock_was_set_calls_nobody_lost_for_it() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    fall_silent(&stack, "node-1").await;
    let now = Moment::now();
    let stopped = Moment {
        steady: now.steady - Duration::from_secs(45),
        wall: now.wall - TimeDelta::seconds(45),
    };
    let set = Moment {
        wall: now.wall - TimeDelta::minutes(5),
        ..now
    };
    for (what, looked) in [("stopped", stopped), ("set", set)] {
        let app = App {
            hearing: Hearing::looked_at(Utc::now() - TimeDelta::hours(1), looked),
            ..stack.app.clone()
        };
        for _ in 0..2 {
            assess_ages(&app).await.expect("assessed");
            assert_eq!(state(&stack, "node-1").await, NodeState::Healthy, "{what}");
        }
    }
}
