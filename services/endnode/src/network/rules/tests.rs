use std::slice;

use vpnmanager_nats::{
    groups::{GroupRules, Groups, Reach, Speed, Transport},
    network::MaxSegment,
};

use super::*;
use crate::network::fixtures::{HALVES6, blocks, filter, group, groups, tunnel, two_tunnels, with_routes, with_rules};

/// The rules of a node on which nobody is in a group.
fn rendered(network: &Network, tunnel: &Tunnel, egress: Option<&InterfaceName>) -> String {
    let tunnels = slice::from_ref(tunnel);
    render(network, tunnels, &members(tunnels, &groups(&[]), &[]), egress)
}

fn members(tunnels: &[Tunnel], groups: &Groups, owners: &[(u32, &str)]) -> Members {
    let blocks = blocks(owners);
    Members::of(tunnels.iter().map(|tunnel| (tunnel, &blocks)), Some(groups))
}

/// Everybody is slowed down, `eng` reaches two things and has a way of its own, `free` has no rules.
fn some_groups() -> Groups {
    let speed = |kilobits| Some(Speed::try_from(kilobits).expect("a speed"));
    let slow = GroupRules {
        up: speed(1_000),
        down: speed(10_000),
        ..GroupRules::default()
    };
    let web = Reach {
        to: Some("10.20.0.0/16".parse().expect("a prefix")),
        protocol: Some(Transport::Tcp),
        ports: vec!["80".parse().expect("a port"), "443".parse().expect("a port")],
    };
    let anything = Reach {
        to: Some("fd20::/48".parse().expect("a prefix")),
        ..Reach::default()
    };
    let eng = GroupRules {
        reach: Some(vec![web, anything]),
        routes: vec!["10.40.0.0/16".parse().expect("a prefix")],
        ..GroupRules::default()
    };
    groups(&[with_rules("default", slow), with_rules("eng", eng), group("free")])
}

#[test]
fn rendered_for_routes_of_both_families() {
    let network = Network {
        max_segment: Some(MaxSegment::try_from(1360).expect("a segment")),
        ..with_routes(&["10.20.0.0/16", "192.0.2.7/32", "2001:db8:20::/48"])
    };
    insta::assert_snapshot!(rendered(&network, &tunnel(Some("fd00:8::/64")), None));
}

#[test]
fn rendered_for_all_traffic_without_ipv6_out_of_one_interface() {
    let network = Network {
        redirect_gateway: true,
        client_to_client: true,
        ..Network::default()
    };
    let egress = "eth1".parse().expect("a name");
    insta::assert_snapshot!(rendered(&network, &tunnel(None), Some(&egress)));
}

#[test]
fn rendered_without_nat() {
    let network = Network {
        nat: Nat::None,
        ..with_routes(&["10.20.0.0/16"])
    };
    insta::assert_snapshot!(rendered(&network, &tunnel(None), None));
}

#[test]
fn rendered_for_groups() {
    let network = Network {
        dns_servers: vec!["10.20.0.53".parse().expect("a server")],
        client_to_client: true,
        nat: Nat::None,
        ..with_routes(&["10.20.0.0/16", "fd20::/16"])
    };
    let tunnels = [tunnel(Some("fd00:8::/64"))];
    let members = members(&tunnels, &some_groups(), &[(0, "eng"), (1, "free"), (2, "gone")]);
    insta::assert_snapshot!(render(&network, &tunnels, &members, None));
}

#[test]
fn rendered_for_groups_without_a_network() {
    let tunnels = [tunnel(None)];
    let members = members(&tunnels, &some_groups(), &[(0, "eng")]);
    let text = of_members(&tunnels, &members);
    assert!(is_of_members(&text) && !is_of_members(&closed(&devices_of(&tunnels))));
    insta::assert_snapshot!(text);
}

#[test]
fn rendered_for_groups_where_nothing_passes_any_more() {
    let tunnels = [tunnel(None)];
    let members = members(&tunnels, &groups(&[filter("eng", &["10.8.0.1/32"])]), &[(0, "eng")]);
    let mut devices: Vec<InterfaceName> = vec!["tun0".parse().expect("a name")];
    devices.extend(devices_of(&tunnels));
    insta::assert_snapshot!(closed_but_for_node(&devices, &tunnels, &members));
}

#[test]
fn rendered_for_groups_on_two_listeners() {
    let network = Network {
        client_to_client: true,
        ..with_routes(&["10.20.0.0/16", "fd20::/16"])
    };
    let tunnels = two_tunnels(Some(HALVES6));
    let members = members(&tunnels, &some_groups(), &[(0, "eng"), (1, "free")]);
    insta::assert_snapshot!(render(&network, &tunnels, &members, None));
}

#[test]
fn rendered_for_groups_without_a_network_on_two_listeners() {
    let tunnels = two_tunnels(None);
    let members = members(&tunnels, &groups(&[filter("eng", &["10.8.0.1/32"])]), &[(0, "eng")]);
    insta::assert_snapshot!(of_members(&tunnels, &members));
}

#[test]
fn clients_of_one_listener_reach_those_of_another_only_where_clients_reach_each_other() {
    let tunnels = two_tunnels(None);
    let members = members(&tunnels, &groups(&[]), &[]);
    let text = |client_to_client| {
        let network = Network {
            client_to_client,
            ..Network::default()
        };
        render(&network, &tunnels, &members, None)
    };
    let devices = "oifname { \"vpn-udp1194\", \"vpn-tcp443\" }";
    assert!(text(true).contains(&format!("\t\t{devices} accept\n")));
    assert!(text(false).contains(&format!("\t\t{devices} {REJECT}\n")));
}

#[test]
fn nothing_passes_and_nobody_reaches_the_node_where_nobody_is_known_by_an_address() {
    let text = sealed(&devices_of(&two_tunnels(None)));
    for device in ["vpn-udp1194", "vpn-tcp443"] {
        for (way, times) in [("iifname", 2), ("oifname", 1)] {
            let rule = format!("\t\t{way} \"{device}\" {REJECT}\n");
            assert_eq!(text.matches(&rule).count(), times, "{rule}{text}");
        }
    }
    assert!(!text.contains("accept\n") && text.contains("hook input"), "{text}");
}

fn devices_of(tunnels: &[Tunnel]) -> Vec<InterfaceName> {
    tunnels.iter().map(|tunnel| tunnel.device.clone()).collect()
}

#[test]
fn nothing_is_routed_in_a_network_that_has_nothing() {
    let text = rendered(&Network::default(), &tunnel(None), None);
    assert!(!text.contains("@routes") && !text.contains("\n\t\taccept\n"), "{text}");
    assert!(text.starts_with(&removal()), "{text}");
}

#[test]
fn nothing_is_said_of_groups_for_an_openvpn_that_gives_out_all_addresses() {
    let earlier = Tunnel {
        is_split: false,
        ..tunnel(Some("fd00:8::/64"))
    };
    let earlier = [earlier];
    let members = members(&earlier, &groups(&[filter("eng", &[])]), &[]);
    let text = render(&with_routes(&["10.20.0.0/16"]), &earlier, &members, None);
    for word in ["vmap", "strangers", "hook input"] {
        assert!(!text.contains(word), "{text}");
    }
}
