//! Members of groups on a node with two listeners.

use std::net::Ipv4Addr;

use vpnmanager_testbed::stack::{Listener, Part};

use super::scene::Scene;
use crate::main_job::{listeners::connect_at, network::inner_address};

/// Panics unless an engineer, a seller and somebody without a group are held to what is theirs on each listener. Their addresses are in the
/// slice of the listener, members' in its upper half, at the same place in each.
async fn are_held(scene: &Scene, profiles: [&str; 3]) {
    let mut fixed: Vec<(u8, u8)> = Vec::new();
    for (slice, listener) in (0_u8..).zip(Listener::BOTH) {
        let mut connections = Vec::new();
        for profile in profiles {
            connections.push(connect_at(&scene.site, listener, profile).await);
        }
        scene.is_engineer(&connections[0]).await;
        scene.is_seller(&connections[1]).await;
        scene.is_held_to_nothing(&connections[2]).await;
        for (connection, is_member) in connections.into_iter().zip([true, true, false]) {
            let address: Ipv4Addr = inner_address(&connection).await.parse().unwrap();
            let [_, _, third, last] = address.octets();
            // Of 256 times 256 addresses each listener has half, and members have half of these.
            assert_eq!(third / 128, slice, "{address} at {listener}");
            assert_eq!(third % 128 >= 64, is_member, "{address} at {listener}");
            if is_member {
                fixed.push((third % 128, last));
            }
            connection.close().await;
        }
    }
    assert_eq!(fixed[..2], fixed[2..], "a member has the same place in each slice");
}

#[tokio::test]
async fn members_are_held_on_each_listener_also_while_the_agent_is_dead() {
    let Some(mut scene) = Scene::at_both_listeners("groups on two listeners").await else {
        return;
    };
    let alice = scene.site.create_in("alice", "engineering").await;
    let bob = scene.site.create_in("bob", "sales").await;
    // Carol is never connected while the agent lives.
    let carol = scene.site.create_in("carol", "sales").await;
    let dave = scene.site.create("dave").await;
    are_held(&scene, [&alice, &bob, &dave]).await;

    scene.site.stack.kill_part(Part::Node(1)).await.unwrap();

    are_held(&scene, [&alice, &carol, &dave]).await;

    scene.site.stack.start_part(Part::Node(1)).await.unwrap();

    scene.is_applied().await;
    are_held(&scene, [&alice, &carol, &dave]).await;
}
