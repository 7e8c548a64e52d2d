//! Own reach and speed of a user, whose group says nothing of either.

use serde_json::json;
use vpnmanager_testbed::{
    stack::{Connection, Part},
    wait,
};

use super::{
    limits::{MOST_OFF, measured},
    scene::{ALSO, PAGE, Scene, hosts, pages},
};
use crate::main_job::{
    network::{set_network, whole},
    site::assert_synced,
};

/// Kilobits in a second, from the node.
const DOWN: u32 = 8_000;

/// Panics unless the client reaches the service host and not the other one, and is as fast as it may be.
async fn is_held(scene: &Scene, who: &Connection) {
    let service = &scene.service.addresses;
    let these = [pages(service, PAGE), pages(service, ALSO)].concat();
    scene.reaches_only(who, &these, &pages(&scene.other, PAGE)).await;
    let is = measured(who, &scene.service, true).await;
    let off = is / f64::from(DOWN) - 1.0;
    eprintln!("measured: {is:.0} kbit/s down, set to {DOWN}: {:+.1} %", off * 100.0);
    assert!(off.abs() < MOST_OFF, "{is:.0} kbit/s down, set to {DOWN}");
}

#[tokio::test]
async fn own_reach_and_speed_hold_for_one_user_alone_also_while_the_agent_is_dead() {
    let Some(mut scene) = Scene::without_groups("own reach and speed", 1).await else {
        return;
    };
    set_network(&scene.site, &whole(&scene.service)).await;
    let alices = scene.site.create("alice").await;
    let bobs = scene.site.create("bob").await;
    let (alice, bob) = (scene.site.connect(&alices).await, scene.site.connect(&bobs).await);
    scene.is_held_to_nothing(&alice).await;

    let own = json!({ "limits": { "reach": hosts(&scene.service.addresses), "speed": { "down": DOWN } } });
    let changed = scene
        .site
        .stack
        .api()
        .change_user("alice", &own, Some(wait::SOON))
        .await;
    let changed = changed.unwrap().expect(200).unwrap();

    assert_synced(&changed);
    assert_eq!(changed.body["group"], "default", "{}", changed.text);
    alice.client.connected_times(2, wait::SOON).await.unwrap();
    is_held(&scene, &alice).await;
    scene.is_held_to_nothing(&bob).await;
    let others = measured(&bob, &scene.service, true).await;
    assert!(others > f64::from(DOWN) * 1.5, "{others:.0} kbit/s of somebody else");

    scene.site.stack.kill_part(Part::Node(1)).await.unwrap();

    is_held(&scene, &alice).await;
    alice.close().await;
    let alice = scene.site.connect(&alices).await;
    is_held(&scene, &alice).await;
    scene.is_held_to_nothing(&bob).await;

    scene.site.stack.start_part(Part::Node(1)).await.unwrap();

    scene.is_applied().await;
    scene.site.change("alice", &json!({ "limits": null })).await;
    alice.client.connected_times(2, wait::SOON).await.unwrap();
    scene.is_held_to_nothing(&alice).await;
    assert_eq!(bob.client.connections(), 1, "somebody else was disturbed");
    for connection in [alice, bob] {
        connection.close().await;
    }
}
