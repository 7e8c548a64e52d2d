//! The network of a pool: what clients reach through a real tunnel, and that the machine stays as it should be.

use std::{fs, process::Command, time::Duration};

use vpnmanager_endnode::backend::{BackendState, Serving, VpnBackend as _};
use vpnmanager_nats::{
    commands::Protocol,
    network::{MaxSegment, Nat, Network},
};
use vpnmanager_testbed::{net::Namespace, ping, wait};

use crate::{
    agent::Agent,
    fleet::{Connected, Fleet, INSIDE},
    upkeep::Upkeep,
};

/// The node looks each 10 s, give or take a tenth, and each 30 s on a machine that is so busy that a look takes a second.
pub(crate) const PUT_BACK_WITHIN: Duration = Duration::from_secs(40);

/// A node with IPv6 in the tunnel or without, and a machine behind it with 10.20.0.5, 10.30.0.5, fd20::5 and fd30::5, which knows no way to
/// clients.
pub(crate) async fn with_a_service(network6: Option<&str>) -> Option<(Fleet, Agent, Namespace)> {
    let fleet = Fleet::build_in(Protocol::Udp, network6).await?;
    let service = fleet.other_machine("service", 12).await;
    for (machine, line) in [
        (&service, "address add 10.20.0.5/32 dev lo".to_owned()),
        (&service, "address add 10.30.0.5/32 dev lo".to_owned()),
        (&service, "address add fd20::5/128 dev lo".to_owned()),
        (&service, "address add fd30::5/128 dev lo".to_owned()),
        (&service, "address add fd00:198:18::12/64 dev eth0 nodad".to_owned()),
        (fleet.node(), "address add fd00:198:18::11/64 dev eth0 nodad".to_owned()),
        (fleet.node(), format!("route add 10.20.0.0/16 via {}", service.address)),
        (fleet.node(), format!("route add 10.30.0.0/16 via {}", service.address)),
        (fleet.node(), "-6 route add fd20::/16 via fd00:198:18::12".to_owned()),
        (fleet.node(), "-6 route add fd30::/16 via fd00:198:18::12".to_owned()),
    ] {
        machine.run(&format!("ip {line}")).await.expect("set up");
    }
    let agent = fleet.start().await;
    Some((fleet, agent, service))
}

pub(crate) fn network(routes: &[&str]) -> Network {
    let routes = routes.iter().map(|route| route.parse().expect("a prefix"));
    Network {
        routes: routes.collect(),
        ..Network::default()
    }
}

pub(crate) async fn answers(machine: &Namespace, address: &str) -> bool {
    machine.run(&format!("ping -n -c 1 -W 1 {address}")).await.is_ok()
}

pub(crate) async fn reaches(machine: &Namespace, address: &str) {
    wait::until(wait::SOON, format_args!("an answer of {address}"), async || {
        answers(machine, address).await
    })
    .await
    .expect("an answer");
}

async fn has_table(fleet: &Fleet, table: &str) -> bool {
    let tables = fleet.node().run("nft list tables").await.expect("nft");
    tables.lines().any(|line| line == format!("table {table}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_reach_what_the_pool_routes_by_nat_over_both_families_and_nothing_else() {
    let Some((fleet, agent, service)) = with_a_service(Some("fd00:8::/64")).await else {
        return;
    };
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16", "fd20::/16"]))).await;

    let alice = fleet.connect(&agent, "alice").await;

    for address in ["10.20.0.5", "fd20::5"] {
        reaches(&alice.machine, address).await;
    }
    // Also when the client sends more into the tunnel than it was told to.
    for line in ["route add 10.30.0.0/16 dev tun0", "-6 route add fd30::/16 dev tun0"] {
        alice.machine.run(&format!("ip {line}")).await.expect("a route");
    }
    for address in ["10.30.0.5", "fd30::5"] {
        assert!(!answers(&alice.machine, address).await, "{address}");
    }
    assert!(ping::once(&alice.machine, INSIDE).await, "the node itself is reached");
    // Nobody behind the node reaches a client, who could be anybody's.
    let session = agent.backend.sessions().await.expect("sessions").remove(0);
    let ways = [
        format!("ip route add 10.8.0.0/16 via {}", fleet.node().address),
        "ip -6 route add fd00:8::/64 via fd00:198:18::11".to_owned(),
    ];
    for way in ways {
        service.run(&way).await.expect("a route");
    }
    for address in [&session.virtual_address, &session.virtual_address6] {
        assert!(!address.is_empty() && !answers(&service, address).await, "{address}");
    }

    // Without NAT it is the address of the client that goes out, and connections to clients come in.
    let without_nat = Network {
        nat: Nat::None,
        max_segment: Some(MaxSegment::try_from(1300).expect("a segment")),
        ..network(&["10.20.0.0/16", "fd20::/16"])
    };
    upkeep.applies(2, Some(without_nat)).await;
    reaches(&alice.machine, "10.20.0.5").await;
    let ping = format!("ping -n -c 1 -W 1 -I 10.20.0.5 {}", session.virtual_address);
    wait::until(wait::SOON, "an answer of the client", async || {
        service.run(&ping).await.is_ok()
    })
    .await
    .expect("an answer");
    upkeep.ends();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_holds_at_once_and_reaches_clients_at_their_next_login_without_a_restart() {
    let Some((fleet, agent, _service)) = with_a_service(None).await else {
        return;
    };
    let pid = agent.is(BackendState::Up).await.pid;
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16"]))).await;
    let Connected {
        machine, mut client, ..
    } = fleet.connect(&agent, "alice").await;
    reaches(&machine, "10.20.0.5").await;

    upkeep.applies(2, Some(network(&["10.30.0.0/16"]))).await;

    assert!(
        !answers(&machine, "10.20.0.5").await,
        "what is taken away is refused at once"
    );
    client.restart().await.expect("restart");
    client.connected(wait::SOON).await.expect("connected");
    reaches(&machine, "10.30.0.5").await;
    let routes = machine.run("ip route").await.expect("ip");
    assert!(
        routes.contains("10.30.0.0/16") && !routes.contains("10.20.0.0/16"),
        "{routes}"
    );
    assert_eq!(agent.is(BackendState::Up).await.pid, pid);
    upkeep.ends();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_reach_each_other_only_where_the_pool_says_so() {
    let Some((fleet, agent, _service)) = with_a_service(None).await else {
        return;
    };
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16"]))).await;
    let (alice, bob) = (fleet.connect(&agent, "alice").await, fleet.connect(&agent, "bob").await);
    reaches(&alice.machine, "10.20.0.5").await;
    let sessions = agent.backend.sessions().await.expect("sessions");
    let of_bob = sessions.iter().find(|session| session.common_name == bob.name.as_str());
    let address = &of_bob.expect("bob's session").virtual_address;

    assert!(!answers(&alice.machine, address).await);

    let together = Network {
        client_to_client: true,
        ..network(&["10.20.0.0/16"])
    };
    upkeep.applies(2, Some(together)).await;
    reaches(&alice.machine, address).await;
    upkeep.applies(3, Some(network(&["10.20.0.0/16"]))).await;
    assert!(!answers(&alice.machine, address).await);
    upkeep.ends();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_traffic_of_a_client_goes_through_a_tunnel_without_ipv6_and_its_own_ipv6_does_not_leak() {
    let Some((fleet, agent, service)) = with_a_service(None).await else {
        return;
    };
    let upkeep = Upkeep::start(&fleet, &agent);
    let everything = Network {
        redirect_gateway: true,
        ..Network::default()
    };
    upkeep.applies(1, Some(everything)).await;
    let (name, profile) = fleet.credential("alice");
    agent.allow(&name).await;
    // The client has ways of its own, over both families.
    let machine = fleet.machine().await;
    let [.., number] = machine.address.octets();
    for line in [
        format!("address add fd00:198:18::1:{number}/64 dev eth0 nodad"),
        "-6 route add default via fd00:198:18::12".to_owned(),
        format!("route add default via {}", fleet.node().address),
    ] {
        machine.run(&format!("ip {line}")).await.expect("set up");
    }
    service.run("ip address add 2600::5/128 dev lo").await.expect("set up");
    reaches(&machine, "2600::5").await;

    let client = fleet.client(&machine, &profile, "alice");
    client.connected(wait::SOON).await.expect("connected");

    reaches(&machine, "10.20.0.5").await;
    assert!(!answers(&machine, "2600::5").await, "IPv6 leaks beside the tunnel");
    upkeep.ends();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_to_the_firewall_is_undone_and_what_is_theirs_is_left_alone() {
    let Some((fleet, agent, _service)) = with_a_service(None).await else {
        return;
    };
    fleet.node().run("nft add table ip operators").await.expect("nft");
    let (ours, theirs) = ("inet vpnmanager", "ip operators");
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16"]))).await;
    upkeep
        .applies(2, Some(network(&["10.20.0.0/16", "10.30.0.0/16"])))
        .await;
    assert!(has_table(&fleet, ours).await && has_table(&fleet, theirs).await);

    // Everything, as a restart of the distribution's firewall does.
    fleet.node().run("nft flush ruleset").await.expect("nft");
    assert!(!has_table(&fleet, theirs).await);
    wait::until(PUT_BACK_WITHIN, "the rules to be back", async || {
        has_table(&fleet, ours).await
    })
    .await
    .expect("back");
    let alice = fleet.connect(&agent, "alice").await;
    reaches(&alice.machine, "10.30.0.5").await;

    fleet.node().run("nft add table ip operators").await.expect("nft");
    upkeep.applies(3, None).await;
    assert!(has_table(&fleet, ours).await && has_table(&fleet, theirs).await);
    assert!(!answers(&alice.machine, "10.30.0.5").await, "the machine forwards on");
    let pushed = fleet.allow_list.pushed().expect("links").path();
    assert_eq!(fs::read_to_string(pushed).expect("read"), "");
    upkeep.applies(4, Some(network(&["10.20.0.0/16"]))).await;

    upkeep.readiness.refuse("deregistered");
    let cut_off = async || !answers(&alice.machine, "10.20.0.5").await;
    wait::until(wait::SOON, "nothing to pass", cut_off)
        .await
        .expect("closed");
    assert!(has_table(&fleet, ours).await, "OpenVPN runs");
    agent.backend.set_serving(Serving::No).await;

    wait::until(wait::SOON, "the rules to go", async || !has_table(&fleet, ours).await)
        .await
        .expect("gone");
    assert!(has_table(&fleet, theirs).await);
    upkeep.ends();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_leaves_the_network_to_whoever_logs_in_next() {
    let Some((fleet, agent, _service)) = with_a_service(None).await else {
        return;
    };
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16"]))).await;
    let (name, profile) = fleet.credential("alice");
    agent.allow(&name).await;

    upkeep.ends();
    agent.dies().await;

    let machine = fleet.machine().await;
    let client = fleet.client(&machine, &profile, "alice");
    client.connected(wait::SOON).await.expect("connected");
    reaches(&machine, "10.20.0.5").await;
    let agent = fleet.agent();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_follow_an_openvpn_that_runs_with_the_configuration_of_an_earlier_release() {
    let Some((fleet, agent, _service)) = with_a_service(Some("fd00:8::/64")).await else {
        return;
    };
    let pid = agent.is(BackendState::Up).await.pid.expect("a pid");
    agent.dies().await;
    fleet.node().run(&format!("kill -9 {pid}")).await.expect("kill");
    let gone = async || !std::path::Path::new(&format!("/proc/{pid}")).exists();
    wait::until(wait::SOON, "OpenVPN to end", gone).await.expect("it ends");
    let conf_file = fleet.managed.dir.join("server.conf");
    let conf = fs::read_to_string(&conf_file).expect("read");
    let is_of_later = |line: &&str| ["ifconfig-", "dev-type"].iter().any(|word| line.starts_with(word));
    let lines = conf.lines().filter(|line| !is_of_later(line));
    let older = lines.fold(String::new(), |text, line| text + line + "\n");
    let older = older.replace("dev vpn-udp1194\n", "dev tun\n");
    fs::write(&conf_file, older.replace(" nopool\n", "\n")).expect("written");
    let pid_file = fleet.managed.dir.join("openvpn.pid");
    fs::remove_file(&pid_file).expect("removed");
    let mut earlier = Command::new(&fleet.managed.binary);
    earlier
        .arg("--config")
        .arg(&conf_file)
        .args(["--daemon", "vpnmanager-openvpn"]);
    earlier.arg("--writepid").arg(&pid_file);
    earlier.arg("--log-append").arg(fleet.managed.dir.join("openvpn.log"));
    assert!(earlier.status().expect("openvpn").success());
    wait::until(wait::SOON, "the earlier OpenVPN", async || pid_file.exists())
        .await
        .expect("it runs");

    let agent = fleet.agent();
    agent.backend.set_serving(Serving::Yes).await;
    agent.is(BackendState::Up).await;
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16"]))).await;

    let alice = fleet.connect(&agent, "alice").await;
    reaches(&alice.machine, "10.20.0.5").await;
    let rules = fleet.node().run("nft list table inet vpnmanager").await.expect("nft");
    assert!(
        rules.contains("iifname \"tun0\"") && !rules.contains("vpn-udp1194"),
        "{rules}"
    );
    assert_eq!(upkeep.progress.fault(), None);

    // Whoever has an address of the upper half may be anybody.
    let (member, _) = fleet.credential("mia");
    fleet.joins(&member, "eng");
    let not_held = async || {
        let fault = upkeep.progress.fault().unwrap_or_default();
        fault.contains("members of groups are not let in")
    };
    wait::until(wait::SOON, "the reason to be told", not_held)
        .await
        .expect("told");
    let is_not_let_in = async || !fleet.places.is_enforced();
    wait::until(wait::SOON, "members to be kept out", is_not_let_in)
        .await
        .expect("kept out");
    reaches(&alice.machine, "10.20.0.5").await;
    upkeep.ends();
    fleet.end(agent).await;
}
