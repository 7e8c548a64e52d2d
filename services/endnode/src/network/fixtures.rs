//! What tests of this module have in common.

use vpnmanager_nats::network::Network;

use crate::openvpn::tunnel::Tunnel;

/// The tunnel of a node with the defaults, with this IPv6 network.
pub(super) fn tunnel(network6: Option<&str>) -> Tunnel {
    Tunnel {
        device: "vpn-udp1194".parse().expect("a name"),
        network: "10.8.0.0/16".parse().expect("a network"),
        network6: network6.map(|network| network.parse().expect("a network")),
    }
}

/// A network with these routes and nothing else.
pub(super) fn with_routes(routes: &[&str]) -> Network {
    let routes = routes.iter().map(|route| route.parse().expect("a prefix"));
    Network {
        routes: routes.collect(),
        ..Network::default()
    }
}
