//! The old listener: a real OpenVPN with an authority, keys and a network of its own, beside that of the node.

use std::{
    fs,
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use vpnmanager_endnode::{
    backend::{BackendState, Parting, Serving, VpnBackend},
    old_server::{ExternalCheck, OldConf},
    openvpn::OldOpenVpn,
    vpn::Vpn,
};
use vpnmanager_nats::ids::CommonName;
use vpnmanager_testbed::{net::Namespace, ping::PingStream, wait, wait::PROMISED_SECOND};

use crate::{
    agent::Agent,
    before::{Before, Old, credential_in, is_refused, places, serial_of, start_client, with_credential},
    fleet::{Fleet, TOLD_TO_STOP},
    pki::Credential,
};

/// The node of the fleet listens elsewhere.
const LISTENERS: &str = "udp:1195";
/// The old server inside its tunnel.
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
/// Without an answer for this long, a stream of pings has ended.
const SILENCE: Duration = Duration::from_secs(2);

/// A node whose OpenVPN runs, its agent, and an old server on its machine; `None` where there are no tunnels.
async fn scene() -> Option<(Fleet, Agent, Before)> {
    let fleet = Fleet::build_with(LISTENERS, None).await?;
    let agent = fleet.start().await;
    let before = Before::make(&fleet);
    Some((fleet, agent, before))
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clients_connect_as_before_and_who_is_refused_is_gone_within_a_second() {
    let Some((fleet, agent, before)) = scene().await else {
        return;
    };
    fs::write(before.dir.join("ccd/alice"), "ifconfig-push 10.20.0.77 255.255.255.0\n").expect("written");
    let old = Old::managed(&fleet, &before).await;
    let mut alice = old.connect(&fleet, &before, "alice").await;
    let bob = old.connect(&fleet, &before, "bob").await;
    let newcomer = fleet.connect(&agent, "newcomer").await;
    let routes = alice.machine.run("ip route").await.expect("ip");
    assert!(routes.contains("10.1.0.0/16"), "what was pushed is pushed: {routes}");
    let addresses = alice.machine.run("ip address").await.expect("ip");
    assert!(addresses.contains("10.20.0.77/"), "as before: {addresses}");
    let pings = [("alice", &alice.machine), ("bob", &bob.machine)].map(|(name, machine)| {
        PingStream::start(machine, INSIDE, (fleet.dir(), &format!("{name}-ping"))).expect("ping")
    });
    let [alices_pings, bobs_pings] = pings;
    for stream in [&alices_pings, &bobs_pings] {
        stream.flows(10, wait::SOON).await.expect("traffic");
    }
    old.has_sessions(&[&alice.name, &bob.name]).await;

    // All sessions of the node are told apart.
    let vpn = Vpn::from(agent.backend.clone()).with_old(old.listener.clone());
    let mut sessions = vpn.sessions().await.expect("sessions");
    sessions.sort_by_key(|session| session.cid);
    let told: Vec<(String, u64)> = sessions
        .iter()
        .map(|session| (session.common_name.clone(), session.cid >> 40))
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], (newcomer.name.to_string(), 0));
    assert!(told[1..].iter().all(|(_, listener)| *listener == 4), "{told:?}");
    let listener = sessions[1].listener.map(|listener| listener.to_string());
    assert_eq!(listener.as_deref(), Some("udp:1194"));

    let denied_at = SystemTime::now();
    let names = std::slice::from_ref(&alice.name);
    old.listener.deny(names).await.expect("refused");
    let cut = old.listener.disconnect(names, Parting::Halt).await.expect("cut");
    assert_eq!(cut.count, 1);
    alice
        .client
        .log()
        .wait_for(TOLD_TO_STOP, 1, PROMISED_SECOND)
        .await
        .expect("the client is told");
    let last = alices_pings
        .falls_silent(denied_at, SILENCE, wait::SOON)
        .await
        .expect("silence");
    assert!(last < PROMISED_SECOND, "traffic flowed for {last:?} more");
    alice.client.exited(wait::SOON).await.expect("the client ends");
    alice.client.restart().await.expect("restart");
    alice.client.refused(wait::SOON).await.expect("refused");

    bobs_pings.flows(20, wait::SOON).await.expect("traffic");
    assert_eq!(
        bobs_pings.stop().await.lost,
        Vec::<u64>::new(),
        "the other session's pings"
    );

    let sessions = vpn.sessions().await.expect("sessions");
    let of_bob = sessions
        .iter()
        .find(|session| session.common_name == "bob")
        .expect("bob's");
    assert_eq!(vpn.end(of_bob.key()).await.expect("asked").as_deref(), Some("bob"));
    bob.client.exited(wait::SOON).await.expect("the client ends");
    old.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_one_authority_never_passes_where_the_other_one_counts_whatever_its_name() {
    let Some((fleet, agent, before)) = scene().await else {
        return;
    };
    let old = Old::managed(&fleet, &before).await;
    let (name, profile) = fleet.credential("alice");
    // The worst case: both lists have the same name.
    agent.allow(&name).await;
    old.lets_in(&name, &[]).await;
    let of_before = before.pki.user(&name);

    let machine = fleet.machine().await;
    let forged = with_credential(profile.expose(), &of_before);
    let intruder = start_client(&machine, &forged, (fleet.dir(), "old-at-new"));
    is_refused(&fleet.managed.dir.join("openvpn.log"), &machine).await;
    assert_eq!(intruder.connections(), 0);

    let other = fleet.machine().await;
    let of_fleet = credential_in(profile.expose());
    let forged = before.profile(fleet.node(), &of_fleet);
    let intruder = start_client(&other, &forged, (fleet.dir(), "new-at-old"));
    is_refused(&old.log, &other).await;
    assert_eq!(intruder.connections(), 0);

    // Each is let in where it belongs.
    let honest = fleet.machine().await;
    let client = fleet.client(&honest, &profile, "new-at-new");
    client.connected(wait::SOON).await.expect("connected");
    let honest_old = fleet.machine().await;
    let profile = before.profile(fleet.node(), &of_before);
    let client_of_before = start_client(&honest_old, &profile, (fleet.dir(), "old-at-old"));
    client_of_before.connected(wait::SOON).await.expect("connected");
    old.has_sessions(&[&name]).await;
    agent.has_sessions(&[&name]).await;
    // To refuse the one leaves the other.
    agent.deny(&name).await;
    client.exited(wait::SOON).await.expect("the client ends");
    old.has_sessions(&[&name]).await;
    old.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_and_another_one_of_the_same_name_is_not() {
    let Some((fleet, agent, before)) = scene().await else {
        return;
    };
    let old = Old::managed(&fleet, &before).await;
    let name: CommonName = "carol".parse().expect("a name");
    let (lost, renewed) = (before.pki.user(&name), before.pki.user(&name));
    old.lets_in(&name, &[]).await;
    let (thiefs, hers) = (fleet.machine().await, fleet.machine().await);
    let start = |machine: &Namespace, credential: &Credential, at: &str| {
        start_client(machine, &before.profile(fleet.node(), credential), (fleet.dir(), at))
    };
    let thief = start(&thiefs, &lost, "thief");
    thief.connected(wait::SOON).await.expect("connected");

    old.lets_in(&name, &[serial_of(&lost.certificate)]).await;
    let ended = old.listener.renew().await.expect("asked");

    assert_eq!(ended.count, 1);
    is_refused(&old.log, &thiefs).await;
    let carol = start(&hers, &renewed, "carol");
    carol.connected(wait::SOON).await.expect("connected");
    let sessions = old.sessions().await;
    let from: Vec<bool> = sessions
        .iter()
        .map(|session| session.real_address.starts_with(&hers.address.to_string()))
        .collect();
    assert_eq!(from, [true], "{sessions:?}");
    assert_eq!(thief.connections(), 1, "it did not come back");
    old.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_outlives_the_agent_is_found_again_and_ends_where_the_node_must_not_serve() {
    let Some((fleet, agent, before)) = scene().await else {
        return;
    };
    let old = Old::managed(&fleet, &before).await;
    let pid = old.is(BackendState::Up).await.pid;
    let bob = old.connect(&fleet, &before, "bob").await;
    let pings = PingStream::start(&bob.machine, INSIDE, (fleet.dir(), "bob-ping")).expect("ping");
    pings.flows(10, wait::SOON).await.expect("traffic");
    old.stops().await;

    let old = Old::managed(&fleet, &before).await;

    assert_eq!(old.is(BackendState::Up).await.pid, pid);
    pings.flows(20, wait::SOON).await.expect("traffic");
    assert_eq!(pings.stop().await.lost, Vec::<u64>::new());
    assert_eq!(bob.client.connections(), 1);
    // Somebody whom the journal does not know was let in by hand.
    let mallory = old.connect(&fleet, &before, "mallory").await;
    fs::remove_file(fleet.dir().join("allow.old/mallory")).expect("removed");
    assert_eq!(old.listener.enforce().await.expect("asked").count, 1);
    mallory.client.exited(wait::SOON).await.expect("the client ends");

    old.listener.backend().set_serving(Serving::No).await;
    old.is(BackendState::Stopped).await;
    old.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_an_operators_own_the_agent_refuses_and_cuts_once_its_lines_are_there() {
    let Some((fleet, agent, before)) = scene().await else {
        return;
    };
    let places = places(&fleet);
    let socket = places.control_socket.clone();
    let check = ExternalCheck::new(before.conf(), places);
    let listener = OldConf::read(&before.conf()).listener();
    let external = OldOpenVpn {
        listener,
        socket,
        run: None,
    };
    let old = Old::start(&fleet, &before, (external, before.operators_log()), Some(check));
    let fault = old.listener.health().await.fault.expect("lines are missing");
    assert!(fault.contains("client-config-dir"), "{fault}");
    before.start_operators(&fleet);
    old.is(BackendState::Up).await;
    let is_well = async || old.listener.health().await.fault.is_none();
    wait::until(wait::SOON, "the lines to be found", is_well)
        .await
        .expect("found");

    let alice = old.connect(&fleet, &before, "alice").await;
    old.has_sessions(&[&alice.name]).await;
    let names = std::slice::from_ref(&alice.name);
    old.listener.deny(names).await.expect("refused");
    let cut = old.listener.disconnect(names, Parting::Halt).await.expect("cut");

    assert_eq!(cut.count, 1);
    alice.client.exited(wait::SOON).await.expect("the client ends");
    old.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_cuts_at_an_operators_own_and_starts_its_own_once_that_has_ended() {
    let Some((fleet, agent, before)) = scene().await else {
        return;
    };
    // An earlier agent has made them.
    for folder in ["run", "allow.old", "revoked.old"] {
        fs::create_dir_all(fleet.dir().join(folder)).expect("made");
    }
    before.start_operators(&fleet);
    let socket = places(&fleet).control_socket;
    wait::until(wait::SOON, "the operator's OpenVPN", async || socket.exists())
        .await
        .expect("started");

    let old = Old::wanted(&fleet, &before).await;

    let waits = old.is(BackendState::Down).await;
    assert!(waits.detail.contains("once your own OpenVPN"), "{}", waits.detail);
    let alice = old.connect(&fleet, &before, "alice").await;
    old.has_sessions(&[&alice.name]).await;
    let names = std::slice::from_ref(&alice.name);
    old.listener.deny(names).await.expect("refused");
    let cut = old.listener.disconnect(names, Parting::Halt).await.expect("cut");
    assert_eq!(cut.count, 1);
    alice.client.exited(wait::SOON).await.expect("the client ends");
    let operators = before.operators_pid();
    fleet.node().run(&format!("kill {operators}")).await.expect("kill");

    assert_ne!(old.is(BackendState::Up).await.pid, Some(operators));
    old.connect(&fleet, &before, "bob").await;
    old.listener.backend().set_serving(Serving::No).await;
    old.is(BackendState::Stopped).await;
    old.stops().await;
    fleet.end(agent).await;
}
