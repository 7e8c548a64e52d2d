//! A node's agent is configured anew, and a node moves to another pool.

use std::num::{NonZeroU16, NonZeroU32};

use serde_json::{Value, json};
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        nodes::{
            answer_sync::answer_sync,
            move_node::{MoveNodeError, move_node},
        },
        reports::apply_reports::apply_reports,
    },
};
use vpnmanager_nats::{commands::Protocol, endpoint::Endpoint, sync::SyncRequest};
use vpnmanager_testbed::wait;

use super::{
    actor, applied, audited, create, create_on, enrol, fleet, node, server_of, sync::request, totals::compare, view,
};
use crate::database::run;
use crate::stack::Stack;

fn endpoint() -> Endpoint {
    Endpoint {
        host: Some("vpn1.example.org".parse().expect("a host")),
        port: NonZeroU16::new(443).expect("a port"),
        protocol: Protocol::Tcp,
        listeners: None,
        pool: node("default"),
        capacity: NonZeroU32::new(50).expect("a number"),
    }
}

async fn tell(stack: &Stack, endpoint: Endpoint) {
    let request = SyncRequest {
        endpoint: Some(endpoint),
        ..request("node-1")
    };
    answer_sync(&stack.app, &request).await.expect("answered");
}

#[tokio::test]
async fn a_changed_endpoint_is_recorded_once_and_another_pool_is_only_noted() {
    let stack = fleet(1).await;
    create(&stack, "alice").await;
    for _ in 0..3 {
        tell(&stack, endpoint()).await;
    }
    let server = server_of(&stack, "node-1").await;
    assert_eq!(
        (
            server.public_host.to_string().as_str(),
            server.public_port,
            server.public_protocol,
            server.capacity
        ),
        ("vpn1.example.org", 443, Protocol::Tcp, Some(50))
    );
    let alice = view(&stack, "alice").await.expect("there").user;
    assert_eq!((alice.port, alice.protocol), (443, Protocol::Tcp));
    let entries = audited(&stack, AuditAction::NodeEndpointChanged).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].actor, "node:node-1");

    let elsewhere = Endpoint {
        host: None,
        pool: node("sales"),
        ..endpoint()
    };
    tell(&stack, elsewhere).await;
    let server = server_of(&stack, "node-1").await;
    assert_eq!(
        (server.pool.as_str(), server.asked_pool.as_deref()),
        ("default", Some("sales"))
    );
    assert_eq!(
        server.public_host.to_string(),
        "vpn1.example.org",
        "a host that is not said stays"
    );
    tell(&stack, endpoint()).await;
    let server = server_of(&stack, "node-1").await;
    assert_eq!(server.asked_pool, None);

    // All its users follow each time, so not with each handshake. It is asked again until it may.
    for port in [444, 445] {
        let flipped = Endpoint {
            port: NonZeroU16::new(port).expect("a port"),
            ..endpoint()
        };
        tell(&stack, flipped).await;
    }
    let server = server_of(&stack, "node-1").await;
    assert_eq!(server.public_port, 443);
    run(
        &stack.app.db,
        "UPDATE servers SET endpoint_changed_at = now() - interval '11 seconds'",
    )
    .await;
    let later = Endpoint {
        port: NonZeroU16::new(445).expect("a port"),
        ..endpoint()
    };
    tell(&stack, later).await;
    assert_eq!(view(&stack, "alice").await.expect("there").user.port, 445);
}

#[tokio::test]
async fn another_listener_is_recorded_with_each_handshake_and_users_have_that_of_the_first() {
    let stack = fleet(1).await;
    create(&stack, "alice").await;
    let listening = |listeners: &str| Endpoint {
        port: NonZeroU16::new(1194).expect("a port"),
        protocol: Protocol::Udp,
        listeners: Some(listeners.parse().expect("listeners")),
        ..endpoint()
    };
    for listeners in ["udp:1194,tcp:443", "udp:1194,udp:53,tcp:443", "udp:1194"] {
        for _ in 0..2 {
            tell(&stack, listening(listeners)).await;
        }
        let server = server_of(&stack, "node-1").await;
        assert_eq!(server.listeners.to_string(), listeners);
        assert_eq!((server.public_port, server.public_protocol), (1194, Protocol::Udp));
        assert_eq!(server.endpoint_changed_at, None, "no user followed");
    }
    let entries = audited(&stack, AuditAction::NodeEndpointChanged).await;
    let states: Vec<(&Value, &Value)> = entries
        .iter()
        .filter_map(|entry| {
            Some((
                &entry.before.as_ref()?["listeners"],
                &entry.after.as_ref()?["listeners"],
            ))
        })
        .collect();
    let (one, two) = (json!(["udp:1194"]), json!(["udp:1194", "tcp:443"]));
    let three = json!(["udp:1194", "udp:53", "tcp:443"]);
    assert_eq!(states, [(&one, &two), (&two, &three), (&three, &one)]);
    let alice = view(&stack, "alice").await.expect("there").user;
    assert_eq!((alice.port, alice.protocol), (1194, Protocol::Udp));

    // The listeners count, not what stands beside them for management of before.
    tell(&stack, listening("tcp:443")).await;
    let alice = view(&stack, "alice").await.expect("there").user;
    assert_eq!((alice.port, alice.protocol), (443, Protocol::Tcp));
}

#[tokio::test]
async fn who_is_homed_on_a_node_that_moves_gets_a_home_in_the_old_pool() {
    // One node for each user: nobody has a standby.
    let stack = Stack::start_with(&[("PLACEMENT_REPLICAS", "1")]).await;
    for id in ["node-1", "node-2"] {
        enrol(&stack, id).await;
    }
    run(&stack.app.db, "UPDATE servers SET state = 'healthy', last_sync = now()").await;
    for username in ["alice", "bob", "carol"] {
        create_on(&stack, "node-1", username).await;
    }

    let moved = move_node(&stack.app, &actor(), &node("node-1"), &node("sales")).await;
    assert_eq!(moved.expect("moved").server.pool, "sales");
    for username in ["alice", "bob", "carol"] {
        let view = view(&stack, username).await.expect("there");
        assert_eq!(view.user.server_id, node("node-2"));
        let mut held: Vec<(String, bool)> = view
            .placements
            .iter()
            .map(|placement| (placement.server_id.to_string(), placement.wanted_present))
            .collect();
        held.sort();
        assert_eq!(held, [("node-1".to_owned(), false), ("node-2".to_owned(), true)]);
    }
    compare(&stack).await;

    // The node removes them; the rows go with its acks.
    let mut acks = Vec::new();
    for username in ["alice", "bob", "carol"] {
        let view = view(&stack, username).await.expect("there");
        acks.push(applied("node-1", &view, view.user.revision));
    }
    apply_reports(&stack.app, &acks, &[]).await.expect("recorded");
    let alice = view(&stack, "alice").await.expect("she lives");
    assert_eq!(alice.placements.len(), 1);
    compare(&stack).await;

    // Nobody is left in the pool who could take the users of node-2.
    let refused = move_node(&stack.app, &actor(), &node("node-2"), &node("sales")).await;
    assert!(matches!(refused, Err(MoveNodeError::NowhereToGo { pool }) if pool == "default"));
    let unknown = move_node(&stack.app, &actor(), &node("node-9"), &node("sales")).await;
    assert!(matches!(unknown, Err(MoveNodeError::UnknownServer)));
    // It is empty, so it may go where it likes, and comes back to be filled.
    let back = move_node(&stack.app, &actor(), &node("node-1"), &node("default")).await;
    assert_eq!(back.expect("moved").server.pool, "default");
    assert_eq!(audited(&stack, AuditAction::NodeMoved).await.len(), 2);
}

/// A node that comes back before it has removed a user gets the user again, once it has.
#[tokio::test]
async fn a_node_that_returns_early_is_filled_when_it_has_removed_its_users() {
    let stack = fleet(2).await;
    let alice = create(&stack, "alice").await;
    for pool in ["sales", "default"] {
        let moved = move_node(&stack.app, &actor(), &node("node-1"), &node(pool)).await;
        moved.expect("moved");
    }
    let view_now = view(&stack, "alice").await.expect("there");
    let ack = applied("node-1", &alice, view_now.user.revision);
    apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
    stack.app.placer.wake();
    let filled = async || {
        let placements = view(&stack, "alice").await.expect("there").placements;
        placements.len() == 2 && placements.iter().all(|placement| placement.wanted_present)
    };
    wait::until(wait::SOON, "alice is on both nodes again", filled)
        .await
        .expect("filled");
    compare(&stack).await;
}
