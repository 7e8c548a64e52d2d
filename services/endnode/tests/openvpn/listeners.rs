//! Several listeners of one node: what holds of one holds on each.

mod changed;

use std::{fs, net::Ipv6Addr, path::Path};

use tokio_util::sync::CancellationToken;
use vpnmanager_endnode::{
    backend::{BackendState, CutSessions, Parting, Session, VpnBackend},
    coordination::draining::Draining,
    node::Node,
    tasks::drain,
    vpn::Vpn,
};
use vpnmanager_nats::{ids::CommonName, sessions::SessionRecord};
use vpnmanager_testbed::{client::OpenvpnClient, ping, wait, wait::PROMISED_SECOND};

use crate::{
    agent::Agent,
    fleet::{Fleet, INSIDE, TOLD_TO_STOP},
    history::Keeping,
};

const UDP: usize = 0;
const TCP: usize = 1;
/// What a client logs when the server sends it to the next server of its profile.
const SENT_ON: &str = "Connection reset command was pushed by server ('[N]')";
/// From here on sessions are of the second listener (`LiveSession::cid`).
const SECOND: u64 = 1 << 40;

async fn are_gone(pids: &[u32]) {
    let gone = async || pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    wait::until(wait::SOON, format_args!("{pids:?} to end"), gone)
        .await
        .expect("they end");
}

/// A node whose OpenVPNs are up, one for UDP and one for TCP.
async fn serving_both() -> Option<(Fleet, Agent)> {
    let fleet = build().await?;
    let agent = fleet.start().await;
    all_serve(&agent).await;
    Some((fleet, agent))
}

async fn build() -> Option<Fleet> {
    Fleet::build_with("udp:1194,tcp:443", Some("fd00:8::/64")).await
}

async fn all_serve(agent: &Agent) {
    let look = async || {
        let health = agent.backend.health().await;
        let all_serve = health.state == BackendState::Up && health.detail.is_empty() && health.fault.is_none();
        if all_serve { Ok(()) } else { Err(format!("{health:?}")) }
    };
    wait::until_ok(wait::SOON, "all listeners to serve", look)
        .await
        .expect("they serve");
}

/// The clients of one credential, one through each listener.
async fn clients_of(fleet: &Fleet, agent: &Agent, username: &str) -> (CommonName, Vec<OpenvpnClient>) {
    let (name, profiles) = fleet.credential_of_each(username);
    agent.allow(&name).await;
    let mut clients = Vec::new();
    for (number, profile) in profiles.iter().enumerate() {
        let machine = fleet.machine().await;
        let client = fleet.client(&machine, profile, &format!("{username}-{number}"));
        client.connected(wait::SOON).await.expect("connected");
        clients.push(client);
    }
    (name, clients)
}

async fn session_of(agent: &Agent, name: &CommonName) -> Session {
    let look = async || {
        let sessions = agent.backend.sessions().await.map_err(|error| format!("{error:?}"))?;
        let found = sessions
            .iter()
            .find(|session| session.common_name == name.as_str() && !session.virtual_address6.is_empty());
        found.cloned().ok_or_else(|| format!("{sessions:?}"))
    };
    wait::until_ok(wait::SOON, format_args!("the session of {name}"), look)
        .await
        .expect("a session")
}

/// The process of each listener.
fn pids(fleet: &Fleet) -> [u32; 2] {
    ["openvpn.pid", "openvpn.tcp443.pid"].map(|name| {
        let text = fs::read_to_string(fleet.managed.dir.join(name)).expect(name);
        text.trim().parse().expect("a pid")
    })
}

/// The same, where both have noted theirs.
fn pids_if_there(fleet: &Fleet) -> Option<[u32; 2]> {
    let pid = |name: &str| -> Option<u32> {
        let text = fs::read_to_string(fleet.managed.dir.join(name)).ok()?;
        text.trim().parse().ok()
    };
    Some([pid("openvpn.pid")?, pid("openvpn.tcp443.pid")?])
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_through_each_listener_are_those_of_one_node() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let alice = fleet.connect_through(&agent, "alice", UDP).await;
    let bob = fleet.connect_through(&agent, "bob", TCP).await;

    agent.has_sessions(&[&alice.name, &bob.name]).await;
    let (of_alice, of_bob) = (
        session_of(&agent, &alice.name).await,
        session_of(&agent, &bob.name).await,
    );
    let said = [&of_alice, &of_bob].map(|session| session.listener.map(|listener| listener.to_string()));
    assert_eq!(said, [Some("udp:1194".to_owned()), Some("tcp:443".to_owned())]);
    assert!(of_alice.cid < SECOND && of_bob.cid >= SECOND, "{of_alice:?} {of_bob:?}");
    // Each listener has a half of both networks.
    assert!(of_alice.virtual_address.starts_with("10.8.0."), "{of_alice:?}");
    assert!(of_bob.virtual_address.starts_with("10.8.128."), "{of_bob:?}");
    assert_eq!(of_alice.virtual_address6, "fd00:8::1000");
    let address6: Ipv6Addr = of_bob.virtual_address6.parse().expect("an address");
    assert_eq!(
        address6,
        "fd00:8:0:0:8000::1000".parse::<Ipv6Addr>().expect("an address")
    );
    assert!(ping::once(&alice.machine, INSIDE).await);
    assert!(ping::once(&bob.machine, "10.8.128.1".parse().expect("an address")).await);
    let health = agent.backend.health().await;
    assert_eq!((health.sessions, health.capacity, health.restarts), (2, 200, 0));
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(0));

    let ended = agent.backend.end(of_bob.key()).await.expect("asked");

    assert_eq!(ended.as_deref(), Some(bob.name.as_str()));
    bob.client.exited(wait::SOON).await.expect("the client ends");
    agent.has_sessions(&[&alice.name]).await;
    assert_eq!(agent.backend.end(of_bob.key()).await.expect("asked"), None);
    assert_eq!(alice.client.connections(), 1);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_credential_is_cut_and_refused_on_each_listener() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let (alice, mut clients) = clients_of(&fleet, &agent, "alice").await;
    let bystander = fleet.connect_through(&agent, "bob", TCP).await;
    agent.has_sessions(&[&alice, &alice, &bystander.name]).await;

    assert_eq!(agent.deny(&alice).await, CutSessions::done(2));

    for client in &mut clients {
        let log = client.log();
        log.wait_for(TOLD_TO_STOP, 1, PROMISED_SECOND).await.expect("told");
        client.exited(wait::SOON).await.expect("the client ends");
        client.restart().await.expect("restart");
        client.refused(wait::SOON).await.expect("refused");
    }
    agent.has_sessions(&[&bystander.name]).await;
    assert_eq!(bystander.client.connections(), 1);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_let_in_is_found_on_each_listener() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let (alice, clients) = clients_of(&fleet, &agent, "alice").await;
    let bystander = fleet.connect_through(&agent, "bob", UDP).await;
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(0));

    for dir in fleet.allow_list.dirs() {
        fs::remove_file(dir.join(alice.as_str())).expect("remove");
    }
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(2));

    for client in &clients {
        let log = client.log();
        log.wait_for(TOLD_TO_STOP, 1, PROMISED_SECOND).await.expect("cut");
    }
    agent.has_sessions(&[&bystander.name]).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_sends_the_clients_of_each_listener_on() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let (alice, clients) = clients_of(&fleet, &agent, "alice").await;

    let names = std::slice::from_ref(&alice);
    let moved = agent.backend.disconnect(names, Parting::NextRemote).await;

    assert_eq!(moved.expect("disconnect"), CutSessions::done(2));
    for client in &clients {
        let log = client.log();
        log.wait_for(SENT_ON, 1, wait::SOON).await.expect("it is sent on");
    }
    fleet.end(agent).await;
}

/// The IPv4 and the IPv6 address of each session of a credential, in the order of the listeners.
async fn addresses_of(agent: &Agent, name: &CommonName) -> Vec<(String, Ipv6Addr)> {
    let look = async || {
        let mut sessions = agent.backend.sessions().await.map_err(|error| format!("{error:?}"))?;
        sessions.retain(|session| session.common_name == name.as_str());
        sessions.sort_by_key(|session| session.cid);
        let addresses = sessions.iter().map(|session| {
            let address6 = session.virtual_address6.parse().ok()?;
            Some((session.virtual_address.clone(), address6))
        });
        let addresses: Option<Vec<_>> = addresses.collect();
        let whole = addresses.filter(|addresses| addresses.len() == 2);
        whole.ok_or_else(|| format!("{sessions:?}"))
    };
    wait::until_ok(wait::SOON, format_args!("two sessions of {name}"), look)
        .await
        .expect("two sessions")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_her_address_in_each_slice_without_an_agent_too() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let (name, profiles) = fleet.credential_of_each("eve");
    fleet.joins(&name, "engineering");
    agent.allow(&name).await;
    let mut clients = Vec::new();
    for (number, profile) in profiles.iter().enumerate() {
        let machine = fleet.machine().await;
        let client = fleet.client(&machine, profile, &format!("eve-{number}"));
        client.connected(wait::SOON).await.expect("connected");
        clients.push(client);
    }
    let expected: Vec<(String, Ipv6Addr)> = [("10.8.64.1", "fd00:8::9001"), ("10.8.192.1", "fd00:8:0:0:8000::9001")]
        .map(|(address, address6)| (address.to_owned(), address6.parse().expect("an address")))
        .into();
    assert_eq!(addresses_of(&agent, &name).await, expected);
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(0));

    agent.dies().await;
    for client in &mut clients {
        client.restart().await.expect("restart");
        client.connected(wait::SOON).await.expect("connected");
    }

    let agent = fleet.agent();
    assert_eq!(addresses_of(&agent, &name).await, expected);
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(0));
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_hangs_keeps_nobody_from_being_cut_on_another() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let keeping = Keeping::start(&fleet, &agent).await;
    let alice = fleet.connect_through(&agent, "alice", UDP).await;
    let carol = fleet.connect_through(&agent, "carol", UDP).await;
    let bob = fleet.connect_through(&agent, "bob", TCP).await;
    keeping.holds(3, |_| true).await;
    let [_, hanging] = pids(&fleet);
    let signal = async |signal: &str| {
        fleet
            .node()
            .run(&format!("kill -{signal} {hanging}"))
            .await
            .expect("kill")
    };
    signal("STOP").await;

    let log = alice.client.log();
    let (cut, told) = tokio::join!(agent.deny(&alice.name), log.wait_for(TOLD_TO_STOP, 1, PROMISED_SECOND));

    told.expect("the client is told");
    assert_eq!(cut, CutSessions::done(1).and(CutSessions::pending()));
    // Who is behind the one that hangs is known as it told last.
    agent.has_sessions(&[&bob.name, &carol.name]).await;
    let alone_has_ended = |records: &[SessionRecord]| {
        let ended = records.iter().filter(|record| record.ended.is_some());
        let names = ended.map(|record| &record.session.common_name);
        names.eq([&alice.name])
    };
    keeping.holds(3, alone_has_ended).await;

    let (node, vpn) = (
        Node::new("node-1".parse().expect("an id")),
        Vpn::from(agent.backend.clone()),
    );
    let stop = CancellationToken::new();
    let drain = drain::run(node, vpn, Draining::new(Some(100)), stop.clone());
    let log = carol.client.log();
    let moved = async {
        let told = log.wait_for(SENT_ON, 1, wait::SOON).await;
        stop.cancel();
        told
    };
    let (drained, told) = tokio::join!(drain, moved);
    drained.expect("it ends when told");
    told.expect("she is sent on");
    signal("CONT").await;
    // Nobody but alice is refused: the others come back.
    agent.has_sessions(&[&bob.name, &carol.name]).await;
    keeping.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whose_openvpn_dies_is_a_fault_of_a_node_that_serves() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let alice = fleet.connect_through(&agent, "alice", UDP).await;
    let [kept, killed] = pids(&fleet);

    fleet.node().run(&format!("kill -9 {killed}")).await.expect("kill");

    let said = async || {
        let health = agent.backend.health().await;
        let fault = health.fault.clone().unwrap_or_default();
        let is_said = health.state == BackendState::Up && fault.starts_with("tcp:443: OpenVPN (pid ");
        if is_said {
            Ok(health)
        } else {
            Err(format!("{health:?}"))
        }
    };
    let health = wait::until_ok(wait::SOON, "the fault", said).await.expect("said");
    assert_eq!(health.pid, Some(kept));
    all_serve(&agent).await;
    assert_eq!(agent.backend.health().await.restarts, 1);
    let [still, new] = pids(&fleet);
    assert!(still == kept && new != killed);
    agent.has_sessions(&[&alice.name]).await;
    assert_eq!(alice.client.connections(), 1);

    // A restart that is asked for is none of it.
    agent.backend.restart().await.expect("begun");
    let is_over = async || {
        let health = agent.backend.health().await;
        let fault = health.fault.clone().unwrap_or_default();
        let said = format!("{} {fault}", health.detail);
        assert!(!said.contains("died"), "{health:?}");
        let restarted = pids_if_there(&fleet);
        health.state == BackendState::Up && restarted.is_some_and(|pids| pids[0] != still && pids[1] != new)
    };
    wait::until(wait::SOON, "both to be started anew", is_over)
        .await
        .expect("started");
    assert_eq!(agent.backend.health().await.restarts, 1, "it stays counted");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openvpn_that_starts_anew_sends_no_member_away_who_is_on_another_listener() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let (eve, profiles) = fleet.credential_of_each("eve");
    fleet.joins(&eve, "engineering");
    agent.allow(&eve).await;
    let client = fleet.client(&fleet.machine().await, &profiles[UDP], "eve");
    client.connected(wait::SOON).await.expect("connected");
    agent.has_sessions(&[&eve]).await;
    fleet.places.set_enforced(false);
    let is_let_in = || {
        let dirs = fleet.allow_list.dirs();
        dirs.map(|dir| dir.join(eve.as_str()).exists()).collect::<Vec<_>>()
    };
    let [kept, killed] = pids(&fleet);

    fleet.node().run(&format!("kill -9 {killed}")).await.expect("kill");
    wait::until(wait::SOON, "her entry at TCP to go", async || {
        is_let_in() == [true, false]
    })
    .await
    .expect("it goes");
    all_serve(&agent).await;

    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(0));
    agent.has_sessions(&[&eve]).await;
    assert_eq!((client.connections(), pids(&fleet)[UDP]), (1, kept));
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_is_asked_for_starts_the_openvpn_of_each_anew() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let before = pids(&fleet);

    agent.backend.restart().await.expect("begun");
    // It is the same one.
    agent.backend.restart().await.expect("going on");

    are_gone(&before).await;
    all_serve(&agent).await;
    let after = pids(&fleet);
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before, after);
    }
    assert_eq!(agent.backend.health().await.restarts, 0, "none died");
    fleet.end(agent).await;
}
