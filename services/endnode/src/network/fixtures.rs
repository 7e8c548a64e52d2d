//! What tests of this module have in common.

use std::collections::BTreeMap;

use vpnmanager_nats::{
    groups::{Group, GroupName, GroupRules, Groups, Reach},
    ids::Revision,
    network::Network,
};

use crate::openvpn::tunnel::Tunnel;

/// The tunnel of a node with the defaults, with this IPv6 network.
pub(super) fn tunnel(network6: Option<&str>) -> Tunnel {
    Tunnel {
        device: "vpn-udp1194".parse().expect("a name"),
        network: "10.8.0.0/16".parse().expect("a network"),
        network6: network6.map(|network| network.parse().expect("a network")),
        is_split: true,
    }
}

/// The halves of an IPv6 network.
pub(super) const HALVES6: [&str; 2] = ["fd00:8::/65", "fd00:8:0:0:8000::/65"];

/// The tunnels of a node with the defaults that listens on UDP 1194 and TCP 443, with these IPv6 networks.
pub(super) fn two_tunnels(networks6: Option<[&str; 2]>) -> [Tunnel; 2] {
    let [udp, tcp] = networks6.map_or([None; 2], |networks| networks.map(Some));
    let slice = |device: &str, network: &str, network6| Tunnel {
        device: device.parse().expect("a name"),
        network: network.parse().expect("a network"),
        ..tunnel(network6)
    };
    [
        slice("vpn-udp1194", "10.8.0.0/17", udp),
        slice("vpn-tcp443", "10.8.128.0/17", tcp),
    ]
}

/// A network with these routes and nothing else.
pub(super) fn with_routes(routes: &[&str]) -> Network {
    let routes = routes.iter().map(|route| route.parse().expect("a prefix"));
    Network {
        routes: routes.collect(),
        ..Network::default()
    }
}

/// A group whose rules ask nothing of a node.
pub(super) fn group(name: &str) -> Group {
    with_rules(name, GroupRules::default())
}

/// A group whose members reach this and nothing else, each entry with every protocol.
pub(super) fn filter(name: &str, reach: &[&str]) -> Group {
    let entries = reach.iter().map(|to| Reach {
        to: Some(to.parse().expect("a prefix")),
        ..Reach::default()
    });
    let rules = GroupRules {
        reach: Some(entries.collect()),
        ..GroupRules::default()
    };
    with_rules(name, rules)
}

/// A group with these rules.
pub(super) fn with_rules(name: &str, rules: GroupRules) -> Group {
    Group {
        name: name.parse().expect("a name"),
        rules,
        metered: false,
    }
}

/// All groups of a fleet.
pub(super) fn groups(groups: &[Group]) -> Groups {
    Groups {
        revision: Revision(1),
        groups: groups.to_vec(),
    }
}

/// Whose these blocks are.
pub(super) fn blocks(owners: &[(u32, &str)]) -> BTreeMap<u32, GroupName> {
    let owners = owners.iter();
    owners
        .map(|(block, owner)| (*block, owner.parse().expect("a name")))
        .collect()
}
