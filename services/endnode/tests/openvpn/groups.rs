//! Members of groups have fixed addresses in a real tunnel, with an agent and without one.

use std::fs;

use vpnmanager_endnode::{
    backend::{BackendState, CutSessions, Parting, VpnBackend as _},
    openvpn::OpenVpnBackend,
};
use vpnmanager_nats::{commands::Protocol, ids::CommonName};
use vpnmanager_runtime::reconcile::Wake;
use vpnmanager_testbed::{client::OpenvpnClient, net::Namespace, wait};

use crate::{agent::Agent, fleet::Fleet};

/// What a client logs when the server tells it to log in again.
const SENT_BACK: &str = "Connection reset command was pushed by server";
/// The same for the next server of the profile.
const SENT_ON: &str = "Connection reset command was pushed by server ('[N]')";

/// The addresses that OpenVPN tells of the session of this credential.
async fn comes_to_have(agent: &Agent, name: &CommonName, addresses: (&str, &str)) {
    let look = async || {
        let sessions = agent.backend.sessions().await.map_err(|error| format!("{error:?}"))?;
        let found = sessions.iter().find(|session| session.common_name == name.as_str());
        let found = found.map(|session| (session.virtual_address.as_str(), session.virtual_address6.as_str()));
        if found == Some(addresses) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    };
    wait::until_ok(wait::SOON, format_args!("{addresses:?}"), look)
        .await
        .expect("the addresses");
}

/// Whether the client's own device has this address.
async fn has(machine: &Namespace, address: &str) -> bool {
    let found = machine.run("ip -o address show dev tun0").await.unwrap_or_default();
    found.contains(&format!(" {address}/"))
}

/// How many sessions the next look ends because of their addresses. None is ended because it is not let in.
async fn moved(agent: &Agent) -> usize {
    let cut = agent.backend.enforce().await.expect("enforce");
    assert_eq!(cut.count, 0, "{cut:?}");
    cut.moved.len()
}

async fn logs_in_again(client: &mut OpenvpnClient) {
    client.restart().await.expect("restart");
    client.connected(wait::SOON).await.expect("connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_gets_the_addresses_and_the_pushes_of_her_group_without_an_agent_too() {
    let Some(fleet) = Fleet::build_in(Protocol::Udp, Some("fd00:8::/64")).await else {
        return;
    };
    let agent = fleet.start().await;
    let groups = fleet.allow_list.pushed_groups().expect("there are some").clone();
    let group = "engineering".parse().expect("a name");
    groups.ensure(&group).expect("a file");
    fs::write(groups.path_of(&group), "push \"route 10.77.0.0 255.255.0.0\"\n").expect("written");

    let mut eve = fleet.connect_in(&agent, "eve", "engineering").await;
    let sam = fleet.connect_in(&agent, "sam", "sales").await;
    let alice = fleet.connect(&agent, "alice").await;

    comes_to_have(&agent, &eve.name, ("10.8.128.1", "fd00:8::9001")).await;
    comes_to_have(&agent, &sam.name, ("10.8.129.1", "fd00:8::9101")).await;
    assert!(has(&eve.machine, "10.8.128.1").await && has(&eve.machine, "fd00:8::9001").await);
    let routes = async |machine: &Namespace| machine.run("ip route").await.expect("ip");
    assert!(routes(&eve.machine).await.contains("10.77.0.0/16"));
    assert!(!routes(&sam.machine).await.contains("10.77.0.0/16"));
    let sessions = agent.backend.sessions().await.expect("sessions");
    let of_alice = sessions
        .iter()
        .find(|session| session.common_name == alice.name.as_str());
    let dynamic = of_alice
        .expect("her session")
        .virtual_address
        .parse()
        .expect("an address");
    assert!(!fleet.places.layout().is_fixed(dynamic), "{dynamic}");
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(0));

    agent.dies().await;
    logs_in_again(&mut eve.client).await;

    assert!(has(&eve.machine, "10.8.128.1").await && has(&eve.machine, "fd00:8::9001").await);
    assert!(routes(&eve.machine).await.contains("10.77.0.0/16"));
    let agent = fleet.agent();
    comes_to_have(&agent, &eve.name, ("10.8.128.1", "fd00:8::9001")).await;
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(0));
    assert_eq!(eve.client.connections(), 1, "the next agent ends nothing");
    fleet.end(agent).await;
}

/// As a start does it where another release, or another folder, made the entries otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_thrown_out_while_a_start_makes_the_allow_list_right() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let eve = fleet.connect_in(&agent, "eve", "engineering").await;
    agent.dies().await;
    fleet.allow_list.deny(&eve.name).expect("deny");

    let started = OpenVpnBackend::managed(fleet.allow_list.clone(), fleet.managed.clone());
    let is_right = Wake::new();
    let agent = Agent::start_before(started.expect("a backend"), is_right.clone());
    let tunnels = agent.backend.tunnels().expect("a managed server");
    let is_found = async || tunnels.is_running();
    wait::until(wait::SOON, "OpenVPN to be found", is_found)
        .await
        .expect("found");
    fleet.allow_list.allow(&eve.name).expect("allow");
    is_right.wake();

    comes_to_have(&agent, &eve.name, ("10.8.128.1", "")).await;
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(0));
    assert_eq!(eve.client.connections(), 1);
    assert!(eve.client.alive());
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_moves_comes_back_by_herself_with_another_address() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let alice = fleet.connect(&agent, "alice").await;
    let bystander = fleet.connect_in(&agent, "sam", "sales").await;
    let names = std::slice::from_ref(&alice.name);

    // As the command does it.
    fleet.joins(&alice.name, "sales");
    agent.allow(&alice.name).await;
    let ended = agent.backend.disconnect(names, Parting::Reconnect).await;
    assert_eq!(ended.expect("disconnect").count, 1);
    alice
        .client
        .connected_times(2, wait::SOON)
        .await
        .expect("connected again");
    comes_to_have(&agent, &alice.name, ("10.8.128.2", "")).await;

    // As the next look at the sessions does it, where the command could not.
    fleet.joins(&alice.name, "engineering");
    agent.allow(&alice.name).await;
    assert_eq!(moved(&agent).await, 1);
    alice
        .client
        .connected_times(3, wait::SOON)
        .await
        .expect("connected again");
    comes_to_have(&agent, &alice.name, ("10.8.129.1", "")).await;

    // Back in the group default, a fixed address is not hers.
    fleet.leaves(&alice.name);
    agent.allow(&alice.name).await;
    assert_eq!(moved(&agent).await, 1);
    alice
        .client
        .connected_times(4, wait::SOON)
        .await
        .expect("connected again");
    assert!(!has(&alice.machine, "10.8.129.1").await);
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::done(0));
    assert_eq!(bystander.client.connections(), 1, "nobody else is disturbed");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_with_an_address_that_is_not_hers_is_not_kept() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let (name, profile) = fleet.credential("eve");
    fleet.joins(&name, "engineering");
    agent.allow(&name).await;
    // An entry that was read a moment before it changed, or that somebody edited.
    let entry = fleet.allow_list.dir().join(name.as_str());
    fs::write(&entry, "ifconfig-push 10.8.0.77 255.255.0.0\n").expect("written");

    let client = fleet.client(&fleet.machine().await, &profile, "eve");
    client
        .log()
        .wait_for(SENT_BACK, 1, wait::SOON)
        .await
        .expect("it is sent back");
    agent.allow(&name).await;

    comes_to_have(&agent, &name, ("10.8.128.1", "")).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_back_is_sent_to_the_next_server_of_her_profile() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let alice = fleet.connect(&agent, "alice").await;
    fleet.joins(&alice.name, "sales");
    fleet.places.set_enforced(false);
    agent.allow(&alice.name).await;

    assert_eq!(moved(&agent).await, 1);

    // Told to come back here, she would be refused and give up.
    let log = alice.client.log();
    log.wait_for(SENT_ON, 1, wait::SOON).await.expect("she is sent on");
    agent.has_sessions(&[]).await;
    fleet.end(agent).await;
}

/// OpenVPN lets in whoever it has no address for. Her client would wait for traffic in vain, and then dial the same server again.
#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_address_is_sent_to_the_next_server_of_her_profile() {
    let Some(mut fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    fleet.conf_mut().network = "10.8.0.0/29".parse().expect("a network");
    let agent = fleet.start().await;
    let (alice, bob) = (fleet.connect(&agent, "alice").await, fleet.connect(&agent, "bob").await);
    let (name, profile) = fleet.credential("carol");
    agent.allow(&name).await;

    let client = fleet.client(&fleet.machine().await, &profile, "carol");

    let crowded_out = async || moved(&agent).await == 1;
    wait::until(wait::SOON, "the session without an address to end", crowded_out)
        .await
        .expect("ended");
    let log = client.log();
    log.wait_for(SENT_ON, 1, wait::SOON).await.expect("she is sent on");
    for bystander in [&alice, &bob] {
        assert_eq!(bystander.client.connections(), 1, "nobody else is disturbed");
    }
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_whose_rules_the_firewall_does_not_hold() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let (name, profile) = fleet.credential("eve");
    fleet.joins(&name, "engineering");
    fleet.places.set_enforced(false);
    agent.allow(&name).await;
    let machine = fleet.machine().await;
    let mut client = fleet.client(&machine, &profile, "eve");
    client.refused(wait::SOON).await.expect("refused");

    fleet.places.set_enforced(true);
    agent.allow(&name).await;
    logs_in_again(&mut client).await;
    assert!(has(&machine, "10.8.128.1").await);

    // One that fails later locks out nobody who could log in before.
    fleet.places.set_enforced(false);
    agent.allow(&name).await;
    logs_in_again(&mut client).await;
    assert!(has(&machine, "10.8.128.1").await);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openvpn_that_starts_anew_lets_in_no_member_whom_the_firewall_does_not_hold() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let (eve, _) = fleet.credential("eve");
    let (alice, _) = fleet.credential("alice");
    fleet.joins(&eve, "engineering");
    agent.allow(&eve).await;
    agent.allow(&alice).await;
    let may = |name: &CommonName| fleet.allow_list.contains(name).expect("look");
    fleet.places.set_enforced(false);
    agent.allow(&eve).await;
    assert!(may(&eve), "the rules of before are there");

    let pid = agent.is(BackendState::Up).await.pid.expect("a pid");
    fleet.node().run(&format!("kill -9 {pid}")).await.expect("kill");
    agent.is(BackendState::Down).await;
    agent.is(BackendState::Up).await;

    assert!(!may(&eve) && may(&alice));
    fleet.end(agent).await;
}
