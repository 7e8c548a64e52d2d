//! kill -9 of a node's agent: its OpenVPN goes on, and the next agent takes it up again.

use std::time::SystemTime;

use vpnmanager_testbed::{stack::Part, wait};

use super::{profile, site::Site};

#[tokio::test]
async fn nobody_notices_that_the_agents_were_killed() {
    let Some(mut site) = Site::with_tunnels("agent killed").await else {
        return;
    };
    let witness = site.witness().await;
    let text = site.create("alice").await;
    let parts = [1, 2].map(|number| (Part::Node(number), Part::Openvpn(number)));
    let before = parts.map(|(_, openvpn)| site.stack.process(openvpn).unwrap());

    for (agent, _) in parts {
        site.stack.kill_part(agent).await.unwrap();
    }
    // New logins need no agent.
    site.lets_in(&text).await;
    for (agent, _) in parts {
        site.stack.start_part(agent).await.unwrap();
    }

    let after = parts.map(|(_, openvpn)| site.stack.process(openvpn).unwrap());
    assert_eq!(before, after, "OpenVPN was started anew");
    let alice = site.visit(&text).await;
    let began = SystemTime::now();
    site.delete("alice").await;
    alice.is_cut(began, "DELETE after a restart of the agents").await;
    site.lets_in(&site.create("bob").await).await;
    witness.lost_nothing().await;
}

#[tokio::test]
async fn who_was_deleted_while_the_agent_was_dead_is_cut_as_it_starts() {
    let Some(mut site) = Site::with_tunnels("delete while the agent is dead").await else {
        return;
    };
    let witness = site.witness().await;
    let text = site.create("alice").await;
    let alice = site.visit(&text).await;
    for number in [1, 2] {
        site.stack.kill_part(Part::Node(number)).await.unwrap();
    }
    let api = site.stack.api();
    let pending = api.delete_user("alice", None).await.unwrap().success().unwrap();
    assert_eq!(pending.body["synced"], false, "{}", pending.text);
    alice.pings.flows(5, wait::SOON).await.unwrap();

    let started = SystemTime::now();
    for number in [1, 2] {
        site.stack.start_part(Part::Node(number)).await.unwrap();
    }

    let last = alice
        .pings
        .falls_silent(started, super::site::SILENCE, wait::SOON)
        .await
        .unwrap();
    eprintln!(
        "measured: last ping answered {} ms after the agents' start began",
        last.as_millis()
    );
    site.forgets("alice").await;
    site.refuses(&text).await;
    witness.lost_nothing().await;
}

#[tokio::test]
async fn a_killed_openvpn_is_started_again_and_lets_in_the_same_users() {
    let Some(mut site) = Site::with_tunnels("openvpn killed").await else {
        return;
    };
    let text = site.create("alice").await;
    let gone = site.create("mallory").await;
    let first = profile::with_only(&text, profile::remotes(&text)[0]);
    let number = site.first_node(&text);
    site.delete("mallory").await;

    let killed = SystemTime::now();
    site.stack.kill_part(Part::Openvpn(number)).await.unwrap();
    site.stack.start_part(Part::Openvpn(number)).await.unwrap();

    eprintln!(
        "measured: the agent had OpenVPN running again after {} ms",
        killed.elapsed().unwrap().as_millis()
    );
    site.connect(&first).await.close().await;
    site.refuses(&gone).await;
}
