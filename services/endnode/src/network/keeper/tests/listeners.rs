//! What the keeper does where a node has several listeners.

use super::*;
use crate::{
    listening::ListenerNumber,
    network::fixtures::{HALVES6, filter, group, two_tunnels},
    openvpn::tunnel::RunningTunnel,
};

const DEVICES: &str = "{ \"vpn-udp1194\", \"vpn-tcp443\" }";

/// Which listens on UDP 1194 and TCP 443.
fn on_two_listeners() -> Machine {
    Machine::with(&two_tunnels(None), None)
}

impl Machine {
    /// The OpenVPN of the second listener runs with this tunnel.
    fn second_runs(&self, tunnel: RunningTunnel) {
        self.others[0].send_modify(|status| {
            status.phase = Phase::Running {
                pid: 2,
                since: tokio::time::Instant::now(),
            };
            status.tunnel = tunnel;
        });
    }
}

/// The tunnel of the second listener, but with this network.
fn second_in(network: &str) -> RunningTunnel {
    let [_, second] = two_tunnels(None);
    RunningTunnel::Other(Tunnel {
        network: network.parse().expect("a network"),
        ..second
    })
}

#[tokio::test]
async fn a_network_is_applied_to_the_tunnels_of_all_listeners() {
    let mut machine = on_two_listeners();
    let together = Network {
        client_to_client: true,
        ..with_routes(&["10.20.0.0/16"])
    };
    machine.tells(1, Some(together));

    assert!(machine.keeper.reconcile(false).await);

    assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));
    let table = machine.read("table");
    for rule in [
        format!("iifname {DEVICES} jump from_clients"),
        format!("oifname {DEVICES} jump to_clients"),
        "iifname \"vpn-tcp443\" ip saddr != 10.8.128.0/17 drop".to_owned(),
        "ip saddr 10.8.128.0/17 oifname != { \"lo\", \"vpn-udp1194\", \"vpn-tcp443\" } masquerade".to_owned(),
    ] {
        assert!(table.contains(&rule), "{rule}: {table}");
    }
    assert!(machine.pushes("route 10.20.0.0 255.255.0.0") && machine.pushes("route 10.8.0.0 255.255.0.0"));

    machine.tells(2, network(&["10.20.0.0/16"]));
    machine.keeper.reconcile(false).await;
    assert!(!machine.pushes("route 10.8.0.0"), "clients do not reach each other");

    machine.tells(3, None);
    machine.keeper.reconcile(false).await;
    let table = machine.read("table");
    for device in ["vpn-udp1194", "vpn-tcp443"] {
        for way in ["iifname", "oifname"] {
            assert!(table.contains(&format!("{way} \"{device}\" reject")), "{table}");
        }
    }
}

#[tokio::test]
async fn members_are_held_to_their_rules_on_each_listener() {
    let mut machine = Machine::with(&two_tunnels(Some(HALVES6)), None);
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[group("default"), filter("eng", &["10.20.0.5/32"])]);
    machine.joins("alice.x", "eng");

    machine.keeper.reconcile(false).await;

    let table = machine.read("table");
    for elements in [
        "10.8.64.0-10.8.64.127 : jump g0, 10.8.192.0-10.8.192.127 : jump g0",
        "fd00:8::9000-fd00:8::907f : jump g0, fd00:8::8000:0:0:9000-fd00:8::8000:0:0:907f : jump g0",
    ] {
        assert!(table.contains(elements), "{table}");
    }
    assert!(machine.is_held("alice.x"));
    assert_eq!((machine.holds(), machine.progress.fault()), (Some(1), None));
}

#[tokio::test]
async fn one_openvpn_that_keeps_no_addresses_for_members_keeps_them_out_of_all() {
    let mut machine = on_two_listeners();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[group("default"), filter("eng", &["10.20.0.5/32"])]);
    machine.joins("alice.x", "eng");
    let [_, second] = two_tunnels(None);
    let earlier = Tunnel {
        is_split: false,
        ..second
    };
    machine.second_runs(RunningTunnel::Other(earlier));

    machine.keeper.reconcile(false).await;

    assert_eq!((machine.places.is_enforced(), machine.holds()), (false, None));
    let fault = machine.progress.fault().expect("a fault");
    assert!(fault.contains("members of groups are not let in"), "{fault}");
    let table = machine.read("table");
    assert!(
        table.contains("10.8.64.0-10.8.64.127 : jump g0") && !table.contains("10.8.192.0"),
        "{table}"
    );

    machine.second_runs(RunningTunnel::AsWanted);
    machine.keeper.changed().await;
    machine.keeper.reconcile(false).await;
    assert!(machine.is_held("alice.x"));
    assert_eq!(machine.progress.fault(), None);
}

#[tokio::test]
async fn who_is_no_member_has_no_fixed_address_at_a_listener_whose_openvpn_keeps_them_for_members() {
    let mut machine = on_two_listeners();
    machine.tells(1, None);
    let alice = "alice.x".parse().expect("a name");
    let stays = |machine: &Machine| {
        let fixed = [(0, "10.8.64.0"), (1, "10.8.192.0")];
        fixed.map(|(number, address)| machine.places.fits_at(ListenerNumber(number), &alice, address, ""))
    };
    machine.keeper.reconcile(false).await;
    assert_eq!(stays(&machine), [true, true], "no OpenVPN runs");
    machine.runs(RunningTunnel::AsWanted);
    for (second, expected) in [
        (None, [false, true]),
        (Some(RunningTunnel::Unknown), [false, true]),
        (Some(second_in("10.9.0.0/17")), [false, true]),
        (Some(RunningTunnel::AsWanted), [false, false]),
    ] {
        if let Some(tunnel) = second.clone() {
            machine.second_runs(tunnel);
        }
        machine.keeper.reconcile(false).await;
        assert_eq!(stays(&machine), expected, "{second:?}");
    }
}

#[tokio::test]
async fn a_listener_with_an_older_tunnel_keeps_no_other_one_from_being_started_again() {
    let mut machine = on_two_listeners();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[filter("default", &["10.20.0.5/32"])]);
    let may_start =
        |machine: &Machine| [0, 1].map(|number| machine.definitions.is_default_held(ListenerNumber(number)));
    assert_eq!(may_start(&machine), [false, false], "nothing is loaded");
    let [_, second] = two_tunnels(None);
    machine.second_runs(RunningTunnel::Other(Tunnel {
        device: "tun0".parse().expect("a name"),
        ..second
    }));

    machine.keeper.reconcile(false).await;

    assert_eq!(
        may_start(&machine),
        [true, false],
        "the next one of the second has another device"
    );
    machine.others[0].send_modify(|status| status.phase = Phase::Failed);
    machine.keeper.changed().await;
    machine.keeper.reconcile(false).await;
    assert_eq!(may_start(&machine), [true, true]);
}

#[tokio::test]
async fn nothing_passes_while_two_tunnels_have_addresses_in_common() {
    let mut machine = on_two_listeners();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[group("default"), filter("eng", &["10.20.0.5/32"])]);
    machine.joins("alice.x", "eng");
    machine.keeper.reconcile(false).await;
    assert!(machine.places.is_enforced());

    machine.second_runs(second_in("10.8.64.0/18"));
    machine.keeper.changed().await;
    machine.keeper.reconcile(false).await;

    let fault = machine.progress.fault().expect("a fault");
    assert!(
        fault.contains("the tunnels vpn-udp1194 and vpn-tcp443 have addresses in common"),
        "{fault}"
    );
    let table = machine.read("table");
    assert!(!table.contains("jump") && table.contains("hook input"), "{table}");
    assert_eq!((machine.applied(), machine.places.is_enforced()), (None, false));

    machine.second_runs(RunningTunnel::AsWanted);
    machine.keeper.changed().await;
    machine.keeper.reconcile(false).await;
    assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));
    assert!(machine.places.is_enforced());
}

#[tokio::test]
async fn the_rules_of_a_node_that_must_not_serve_stay_until_all_its_openvpns_have_stopped() {
    let mut machine = on_two_listeners();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.second_runs(RunningTunnel::Other(Tunnel {
        device: "tun0".parse().expect("a name"),
        ..two_tunnels(None)[1].clone()
    }));
    machine.keeper.reconcile(false).await;

    machine.keeper.reconcile(true).await;
    let table = machine.read("table");
    for device in ["tun0", "vpn-udp1194", "vpn-tcp443"] {
        assert!(table.contains(&format!("iifname \"{device}\" reject")), "{table}");
    }

    machine.others[0].send_modify(|status| status.phase = Phase::Stopped);
    machine.keeper.reconcile(true).await;
    assert!(!machine.at("table").exists());
}
