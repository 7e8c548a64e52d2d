//! A node that ends: its users move to the next one in their profiles by themselves, with nothing set up for it.

use std::time::Duration;

use vpnmanager_testbed::{stack::Part, wait};

use super::{
    profile,
    site::{Site, Visitor, reached},
};

/// So soon traffic is back when a node dies without a word.
pub(super) const DEAD: Duration = wait::under_load(Duration::from_secs(13));
/// And when it says goodbye.
const STOPPED: Duration = wait::under_load(Duration::from_secs(2));

/// Alice, connected to her home.
struct Scene {
    site: Site,
    home: u8,
    text: String,
    alice: Visitor,
}

impl Scene {
    async fn set(test: &str) -> Option<Self> {
        let site = Site::with_tunnels(test).await?;
        let text = site.create("alice").await;
        let (home, alice) = (site.first_node(&text), site.visit(&text).await);
        assert!(
            alice
                .connection
                .client
                .log()
                .contains(&reached(profile::hosts(&text)[0]))
        );
        Some(Self {
            site,
            home,
            text,
            alice,
        })
    }

    /// Panics unless she is with the second node within `bound`, where who comes anew gets in too.
    async fn moves_within(self, bound: Duration, what: &str) {
        let gap = self.alice.moved_to(profile::hosts(&self.text)[1], 1).await;
        eprintln!("measured: the tunnel was away for {} ms after {what}", gap.as_millis());
        assert!(gap < bound, "{gap:?} after {what}");
        self.site.visit(&self.text).await.connection.close().await;
    }
}

#[tokio::test]
async fn a_client_moves_to_the_second_node_when_the_first_is_killed() {
    let Some(mut scene) = Scene::set("failover of a killed node").await else {
        return;
    };
    scene.site.kill_node(scene.home).await;
    scene.moves_within(DEAD, "kill -9 of the node").await;
}

#[tokio::test]
async fn a_client_moves_to_the_second_node_when_the_cable_of_the_first_is_pulled() {
    let Some(scene) = Scene::set("failover").await else {
        return;
    };
    let home = scene.site.stack.node(scene.home).unwrap();
    home.namespace().unwrap().cut().await.unwrap();
    scene.moves_within(DEAD, "the cable was pulled").await;
}

#[tokio::test]
async fn a_client_moves_at_once_when_the_first_node_is_stopped() {
    let Some(mut scene) = Scene::set("planned stop").await else {
        return;
    };
    // As a machine that shuts down ends its services. The agent leaves OpenVPN running, and then cannot start it again.
    for part in [Part::Node(scene.home), Part::Openvpn(scene.home)] {
        scene.site.stack.stop_part(part).await.unwrap();
    }
    scene.moves_within(STOPPED, "a planned stop of the node").await;
}
