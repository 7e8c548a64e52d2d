//! The network of a pool reaches its nodes, and they say what they have applied.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use vpnmanager_management::{
    domain::{actor::Actor, audit_action::AuditAction, client_directives::ClientDirectives, pool::SoundNetwork},
    ops::{
        nodes::{move_node::move_node, record_heartbeats::record_heartbeats},
        pools::{
            change::{PoolChange, change_pool},
            ensure::ensure_pools,
        },
    },
};
use vpnmanager_nats::{
    heartbeats::OpenvpnState,
    ids::{AgentInstance, Revision},
    network::{AppliedNetwork, Network, PoolNetwork},
    sync::SyncAnswer,
};

use super::{change, get, send};
use crate::{
    database::run,
    ops::{
        audited, node,
        nodes::heartbeat,
        sync::{handshake, prompted},
    },
    stack::{Stack, json_of},
};

fn network() -> Network {
    Network {
        routes: vec!["10.20.0.0/16".parse().expect("a prefix")],
        ..Network::default()
    }
}

async fn set_network(stack: &Stack, pool: &str) {
    let body = json!({ "network": network() });
    json_of(change(stack, pool, &body).await, StatusCode::OK).await;
}

#[tokio::test]
async fn the_answer_to_a_handshake_brings_the_network_of_the_nodes_pool() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "sales").await;
    stack.enrol_in("node-2", "default").await;
    set_network(&stack, "sales").await;

    let reply = handshake(&stack, "node-1").await;
    assert!(matches!(reply.answer, SyncAnswer::Ok { .. }), "{reply:?}");
    assert_eq!(reply.bus, Some(stack.app.bus_place()));
    let wanted = PoolNetwork {
        pool: node("sales"),
        revision: Revision(2),
        network: Some(network()),
    };
    assert_eq!(reply.network, Some(wanted));

    let untouched = PoolNetwork {
        pool: node("default"),
        revision: Revision(1),
        network: None,
    };
    assert_eq!(handshake(&stack, "node-2").await.network, Some(untouched));
    let stranger = handshake(&stack, "node-9").await;
    assert!(matches!(stranger.answer, SyncAnswer::Refused { .. }), "{stranger:?}");
    assert_eq!(stranger.network, None);

    // A node that gets everything again may have its network all the same.
    run(
        &stack.app.db,
        "UPDATE servers SET resync_since = now() WHERE name = 'node-1'",
    )
    .await;
    let reply = handshake(&stack, "node-1").await;
    assert!(!matches!(reply.answer, SyncAnswer::Ok { .. }), "{reply:?}");
    assert_eq!(reply.network.and_then(|told| told.network), Some(network()));
}

/// A replica of an older release put the node there.
#[tokio::test]
async fn a_node_whose_pool_has_no_row_yet_leaves_the_network_of_its_former_pool() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "sales").await;
    set_network(&stack, "sales").await;
    run(&stack.app.db, "UPDATE servers SET pool = 'older'").await;
    let none = PoolNetwork {
        pool: node("older"),
        revision: Revision(1),
        network: None,
    };

    assert_eq!(handshake(&stack, "node-1").await.network, Some(none.clone()));

    ensure_pools(&stack.app).await.expect("made");
    assert_eq!(handshake(&stack, "node-1").await.network, Some(none));
}

#[tokio::test]
async fn a_change_asks_the_nodes_of_the_pool_for_a_handshake_and_so_does_a_move() {
    let stack = Stack::start().await;
    for (id, pool) in [("node-1", "sales"), ("node-2", "sales"), ("node-3", "default")] {
        stack.enrol_in(id, pool).await;
    }
    // No background task asks them and clears the mark.
    stack.end_tasks().await;
    let forget = "UPDATE servers SET prompt_since = NULL";
    run(&stack.app.db, forget).await;
    let (app, actor) = (&stack.app, Actor::system());
    let wanted = PoolChange {
        network: Some(SoundNetwork::new(network()).ok()),
        ..PoolChange::default()
    };

    let changed = change_pool(app, &actor, &node("sales"), wanted.clone()).await;
    assert_eq!(changed.expect("changed").pool.revision, 2);
    assert_eq!(prompted(&stack).await, ["node-1", "node-2"]);

    run(&stack.app.db, forget).await;
    let unchanged = change_pool(app, &actor, &node("sales"), wanted).await;
    assert_eq!(unchanged.expect("read").pool.revision, 2);
    assert_eq!(prompted(&stack).await, Vec::<String>::new());
    assert_eq!(audited(&stack, AuditAction::PoolChanged).await.len(), 1);

    let moved = move_node(app, &actor, &node("node-3"), &node("sales")).await;
    assert_eq!(moved.expect("moved").server.pool, "sales");
    assert_eq!(prompted(&stack).await, ["node-3"]);
}

/// Only profiles have them, and nodes say by the revision which network they have applied.
#[tokio::test]
async fn a_change_of_the_directives_of_clients_alone_asks_no_node_and_raises_no_revision() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "sales").await;
    // No background task asks them and clears the mark.
    stack.end_tasks().await;
    let forget = "UPDATE servers SET prompt_since = NULL";
    run(&stack.app.db, forget).await;
    let (app, actor) = (&stack.app, Actor::system());
    let float = ClientDirectives::new(vec!["float".parse().expect("a directive")]).expect("sound");
    let directives = PoolChange {
        client_directives: Some(float),
        ..PoolChange::default()
    };

    let changed = change_pool(app, &actor, &node("sales"), directives).await;
    let changed = changed.expect("changed").pool;
    assert_eq!(
        (changed.revision, changed.client_directives),
        (1, vec!["float".to_owned()])
    );
    assert_eq!(prompted(&stack).await, Vec::<String>::new());
    assert_eq!(audited(&stack, AuditAction::PoolChanged).await.len(), 1);
    let told = handshake(&stack, "node-1").await.network.expect("a network");
    assert_eq!(told.revision, Revision(1));

    // With a change of the network it is one change.
    let both = PoolChange {
        network: Some(SoundNetwork::new(network()).ok()),
        client_directives: Some(ClientDirectives::default()),
        ..PoolChange::default()
    };
    let changed = change_pool(app, &actor, &node("sales"), both).await;
    assert_eq!(changed.expect("changed").pool.revision, 2);
    assert_eq!(prompted(&stack).await, ["node-1"]);
}

#[tokio::test]
async fn what_a_node_says_it_has_applied_is_shown_beside_what_is_wanted() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "sales").await;
    let shown = async || get(&stack, "/api/endnodes/node-1").await.get("network").cloned();
    assert_eq!(shown().await, None, "the pool has no network");
    set_network(&stack, "sales").await;
    let waiting = json!({ "wanted_revision": 2, "applied": false });
    assert_eq!(shown().await, Some(waiting.clone()));

    let run_of_agent = AgentInstance::new();
    let says = async |applied: Option<(&str, i64)>| {
        let mut received = heartbeat("node-1", OpenvpnState::Up);
        received.heartbeat.instance = run_of_agent;
        received.heartbeat.network = applied.map(|(pool, revision)| AppliedNetwork {
            pool: node(pool),
            revision: Revision(revision),
        });
        record_heartbeats(&stack.app.db, stack.app.config.health, &[received])
            .await
            .expect("recorded");
    };
    says(None).await;
    assert_eq!(shown().await, Some(waiting.clone()));
    says(Some(("default", 2))).await;
    assert_eq!(shown().await, Some(waiting), "that is another pool's");
    says(Some(("sales", 1))).await;
    let older = json!({ "wanted_revision": 2, "applied_revision": 1, "applied": false });
    assert_eq!(shown().await, Some(older));
    says(Some(("sales", 2))).await;
    let applied = json!({ "wanted_revision": 2, "applied_revision": 2, "applied": true });
    assert_eq!(shown().await, Some(applied.clone()));

    // Monitoring knows nothing of it, and what the agent said stays.
    let report = send(&stack, Method::POST, "/api/endnodes/node-1/health", &json!({})).await;
    assert_eq!(json_of(report, StatusCode::OK).await["network"], applied);
    let listed = get(&stack, "/api/endnodes").await;
    assert_eq!(listed["items"][0]["network"], applied);

    json_of(
        change(&stack, "sales", &json!({ "network": Value::Null })).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(shown().await, None);
}
