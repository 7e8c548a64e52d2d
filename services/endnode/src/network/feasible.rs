//! What of a pool's network, and of the routes of groups, a node can have. Pure.

use std::{fmt, iter};

use ipnet::IpNet;
use vpnmanager_nats::{
    groups::{Group, GroupName},
    network::{DomainName, Network, Prefix},
};

use super::{
    pushes,
    tunnels::{all_have_ipv6, one_has_ipv6, whole4, whole6},
};
use crate::{interface::InterfaceName, openvpn::tunnel::Tunnel};

/// What of a pool's network this node has, and what is lacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Feasible {
    /// The network without what this node cannot have.
    pub(super) network: Network,
    /// The first thing that is lacking.
    pub(super) lack: Option<Lack>,
}

/// What a node has of the routes of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FeasibleRoutes {
    /// Those that it has.
    pub(super) routes: Vec<Prefix>,
    /// The first thing that is lacking.
    pub(super) lack: Option<Lack>,
}

/// Who wants something of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// The network of its pool.
    Pool,
    /// The rules of this group.
    Group(GroupName),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool => f.write_str("the pool"),
            Self::Group(name) => write!(f, "the group {name}"),
        }
    }
}

impl Whose {
    /// Behind the name of something that is its own.
    fn of(&self) -> String {
        match self {
            Self::Pool => String::new(),
            Self::Group(_) => format!(" of {self}"),
        }
    }
}

/// Why a node does not have all of its pool's network, or of the rules of groups, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lack {
    /// Clients have no IPv6 address in the tunnel.
    #[error("{whose} {what}, and OPENVPN_NETWORK6 is not set on this node")]
    Ipv6 {
        /// Who wants it.
        whose: Whose,
        /// What needs one.
        what: &'static str,
    },
    /// They will have one once OpenVPN starts with its new configuration.
    #[error(
        "{whose} {what}, and the OpenVPN that runs has no IPv6 in the tunnel yet: drain the node and stop OpenVPN with SIGTERM, and the agent \
         starts it with OPENVPN_NETWORK6"
    )]
    Ipv6Yet {
        /// Who wants it.
        whose: Whose,
        /// What needs one.
        what: &'static str,
    },
    /// Its addresses are those of clients, and reached in the tunnel only.
    #[error(
        "the route {route}{} lies in {setting} ({network}): take another network for the tunnel of this node, or another route",
        whose.of()
    )]
    InTunnel {
        /// Who wants it.
        whose: Whose,
        /// The route.
        route: Prefix,
        /// The setting of the tunnel's network.
        setting: &'static str,
        /// That network.
        network: String,
    },
    /// Nothing leaves where it should get the node's address.
    #[error(
        "this machine has no interface {interface}, where clients' packets should get its address: correct EGRESS_INTERFACE"
    )]
    Egress {
        /// The interface.
        interface: InterfaceName,
    },
    /// OpenVPN reads lines of 254 bytes.
    #[error(
        "the search domain {domain} is too long for a line of OpenVPN: take one of at most {} characters",
        pushes::MOST_DOMAIN
    )]
    LongDomain {
        /// The domain.
        domain: DomainName,
    },
    /// Its clients may have any address, so nobody is known by one.
    #[error(
        "members of groups are not let in, because the OpenVPN that runs keeps no addresses for them: drain the node and stop OpenVPN with \
         SIGTERM, and the agent starts it with a server.conf that does"
    )]
    FixedAddresses,
    /// Entries of members name IPv6 addresses that its tunnel does not have, or none of those that it has.
    #[error(
        "members of groups are not let in, because the OpenVPN that runs has another OPENVPN_NETWORK6 than is set on this node: drain the node \
         and stop OpenVPN with SIGTERM, and the agent starts it with the one that is set"
    )]
    FixedAddresses6,
}

impl Lack {
    /// Whether clients, or members of groups, reach nothing without it. Otherwise the node is as good as others.
    pub(super) fn degrades(&self) -> bool {
        match self {
            Self::Egress { .. } | Self::FixedAddresses | Self::FixedAddresses6 => true,
            Self::Ipv6 { .. } | Self::Ipv6Yet { .. } | Self::InTunnel { .. } | Self::LongDomain { .. } => false,
        }
    }
}

const ROUTES: &str = "routes IPv6 prefixes";
const SERVERS: &str = "has IPv6 DNS servers";

/// What of the network a node with these tunnels has. `wanted` are the tunnels that its OpenVPNs have after the next start. All clients are told
/// the same, so there is IPv6 once all tunnels have it.
pub(super) fn feasible(network: &Network, tunnels: &[Tunnel], wanted: &[Tunnel]) -> Feasible {
    let mut has = network.clone();
    let mut lacks = Vec::new();
    if !all_have_ipv6(tunnels) {
        has.routes.retain(Prefix::is_ipv4);
        has.dns_servers.retain(|server| server.address().is_ipv4());
        let lacks_routes = has.routes.len() < network.routes.len();
        let lacks_servers = has.dns_servers.len() < network.dns_servers.len();
        lacks.extend(lacks_routes.then(|| lack_of_ipv6(Whose::Pool, ROUTES, wanted)));
        lacks.extend(lacks_servers.then(|| lack_of_ipv6(Whose::Pool, SERVERS, wanted)));
    }
    // It harms nobody else, so it is applied all the same.
    lacks.extend(
        has.routes
            .iter()
            .find_map(|route| in_tunnel(&Whose::Pool, route, tunnels)),
    );
    has.search_domains
        .retain(|domain| domain.as_str().len() <= pushes::MOST_DOMAIN);
    let too_long = |domain: &&DomainName| !has.search_domains.contains(domain);
    let too_long = network.search_domains.iter().find(too_long).cloned();
    lacks.extend(too_long.map(|domain| Lack::LongDomain { domain }));
    Feasible {
        network: has,
        lack: lacks.into_iter().next(),
    }
}

/// The same of the routes of a group.
pub(super) fn feasible_routes(group: &Group, tunnels: &[Tunnel], wanted: &[Tunnel]) -> FeasibleRoutes {
    let whose = Whose::Group(group.name.clone());
    let all = &group.rules.routes;
    let mut routes = all.clone();
    if !all_have_ipv6(tunnels) {
        routes.retain(Prefix::is_ipv4);
    }
    let lacks_routes = routes.len() < all.len();
    let lack = match lacks_routes {
        true => Some(lack_of_ipv6(whose, ROUTES, wanted)),
        false => routes.iter().find_map(|route| in_tunnel(&whose, route, tunnels)),
    };
    FeasibleRoutes { routes, lack }
}

fn lack_of_ipv6(whose: Whose, what: &'static str, wanted: &[Tunnel]) -> Lack {
    match one_has_ipv6(wanted) {
        true => Lack::Ipv6Yet { whose, what },
        false => Lack::Ipv6 { whose, what },
    }
}

/// The network of which tunnels are slices.
type Whole = fn(&[Tunnel]) -> Option<IpNet>;

/// A wider route is none: clients and the node know of the tunnel's network more precisely, and `10.0.0.0/8` is what many route.
fn in_tunnel(whose: &Whose, route: &Prefix, tunnels: &[Tunnel]) -> Option<Lack> {
    // First that of which they are slices: it is what the setting says.
    let networks = iter::once(tunnels).chain(tunnels.chunks(1));
    let (setting, whole): (&str, Whole) = match route.is_ipv4() {
        true => ("OPENVPN_NETWORK", whole4),
        false => ("OPENVPN_NETWORK6", whole6),
    };
    let mut networks = networks.filter_map(whole);
    let network = networks.find(|network| network.contains(&route.net()))?;
    Some(Lack::InTunnel {
        whose: whose.clone(),
        route: *route,
        setting,
        network: network.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::groups::GroupRules;

    use super::*;
    use crate::network::fixtures::{HALVES6, tunnel, two_tunnels, with_routes, with_rules};

    fn lack(network: &Network, tunnels: &[Tunnel]) -> Option<String> {
        feasible(network, tunnels, tunnels).lack.map(|lack| lack.to_string())
    }

    #[test]
    fn without_ipv6_in_the_tunnel_the_rest_is_applied_and_the_lack_is_told() {
        let both = Network {
            dns_servers: vec![
                "fd20::53".parse().expect("a server"),
                "10.20.0.53".parse().expect("a server"),
            ],
            ..with_routes(&["10.20.0.0/16", "fd20::/48"])
        };
        let (without, with) = ([tunnel(None)], [tunnel(Some("fd00:8::/64"))]);

        let found = feasible(&both, &without, &without);

        assert_eq!(found.network.routes, with_routes(&["10.20.0.0/16"]).routes);
        assert_eq!(found.network.dns_servers, [both.dns_servers[1]]);
        assert_eq!(
            found.lack.expect("a lack").to_string(),
            "the pool routes IPv6 prefixes, and OPENVPN_NETWORK6 is not set on this node"
        );
        let yet = feasible(&both, &without, &with).lack.expect("a lack").to_string();
        assert!(
            yet.contains("routes IPv6 prefixes, and the OpenVPN that runs has no IPv6"),
            "{yet}"
        );
        let servers = Network {
            routes: Vec::new(),
            ..both.clone()
        };
        let said = lack(&servers, &without).expect("a lack");
        assert!(
            said.starts_with("the pool has IPv6 DNS servers, and OPENVPN_NETWORK6"),
            "{said}"
        );
        let all = Feasible {
            network: both.clone(),
            lack: None,
        };
        assert_eq!(feasible(&both, &with, &with), all);
        let everything = Network {
            redirect_gateway: true,
            ..Network::default()
        };
        assert_eq!(
            lack(&everything, &without),
            None,
            "IPv6 is blocked then, and nothing is lacking"
        );
    }

    #[test]
    fn a_route_that_lies_in_the_tunnel_is_told_and_applied() {
        let tunnel = [tunnel(Some("fd00:8::/64"))];
        for (route, setting) in [
            ("10.8.0.0/16", "OPENVPN_NETWORK (10.8.0.0/16)"),
            ("10.8.3.0/24", "OPENVPN_NETWORK (10.8.0.0/16)"),
            ("fd00:8::77/128", "OPENVPN_NETWORK6 (fd00:8::/64)"),
        ] {
            let network = with_routes(&["192.0.2.0/24", route]);
            let found = feasible(&network, &tunnel, &tunnel);
            let said = found.lack.expect(route).to_string();
            assert!(
                said.starts_with(&format!("the route {route} lies in {setting}: ")),
                "{said}"
            );
            assert_eq!(found.network, network);
        }
        let wider = ["10.0.0.0/8", "10.8.0.0/15", "fd00::/16"];
        assert_eq!(lack(&with_routes(&wider), &tunnel), None);
        assert_eq!(lack(&with_routes(&["10.9.0.0/16", "fd00:9::/64"]), &tunnel), None);
    }

    #[test]
    fn a_route_in_a_slice_lies_in_the_network_that_is_divided() {
        let mut tunnels = two_tunnels(Some(HALVES6));
        let said = |route: &str, tunnels: &[Tunnel]| lack(&with_routes(&[route]), tunnels).expect(route);
        for (route, setting) in [
            ("10.8.0.0/16", "OPENVPN_NETWORK (10.8.0.0/16)"),
            ("10.8.130.0/24", "OPENVPN_NETWORK (10.8.0.0/16)"),
            ("fd00:8:0:0:8000::77/128", "OPENVPN_NETWORK6 (fd00:8::/64)"),
        ] {
            let said = said(route, &tunnels);
            assert!(said.contains(&format!("lies in {setting}: ")), "{said}");
        }
        assert_eq!(lack(&with_routes(&["10.0.0.0/8", "fd00:9::/64"]), &tunnels), None);

        // That of an OpenVPN that runs with an older configuration.
        tunnels[1].network = "10.99.0.0/24".parse().expect("a network");
        let said = said("10.99.0.7/32", &tunnels);
        assert!(said.contains("lies in OPENVPN_NETWORK (10.99.0.0/24): "), "{said}");
        assert_eq!(lack(&with_routes(&["10.50.0.0/16"]), &tunnels), None, "it is in none");
    }

    #[test]
    fn a_dns_server_at_an_address_of_the_node_in_a_tunnel_is_lacking_nowhere() {
        let servers = ["10.8.0.1", "fd00:8::1"].map(|server| server.parse().expect("a server"));
        let network = Network {
            dns_servers: servers.to_vec(),
            ..Network::default()
        };
        assert_eq!(lack(&network, &two_tunnels(Some(HALVES6))), None);
    }

    #[test]
    fn there_is_ipv6_once_all_tunnels_have_it() {
        let wanted = two_tunnels(Some(HALVES6));
        let mut tunnels = wanted.clone();
        tunnels[0].network6 = None;

        let found = feasible(&with_routes(&["10.20.0.0/16", "fd20::/48"]), &tunnels, &wanted);

        assert_eq!(found.network, with_routes(&["10.20.0.0/16"]));
        let said = found.lack.expect("a lack").to_string();
        assert!(
            said.contains("the OpenVPN that runs has no IPv6 in the tunnel yet"),
            "{said}"
        );
    }

    #[test]
    fn routes_of_a_group_are_lacking_by_its_name() {
        let with = |routes: &[&str]| {
            let rules = GroupRules {
                routes: with_routes(routes).routes,
                ..GroupRules::default()
            };
            with_rules("eng", rules)
        };
        let (without, with_ipv6) = ([tunnel(None)], [tunnel(Some("fd00:8::/64"))]);
        let both = with(&["10.40.0.0/16", "fd40::/48"]);

        let found = feasible_routes(&both, &without, &without);

        assert_eq!(found.routes, with_routes(&["10.40.0.0/16"]).routes);
        assert_eq!(
            found.lack.expect("a lack").to_string(),
            "the group eng routes IPv6 prefixes, and OPENVPN_NETWORK6 is not set on this node"
        );
        let whole = FeasibleRoutes {
            routes: both.rules.routes.clone(),
            lack: None,
        };
        assert_eq!(feasible_routes(&both, &with_ipv6, &with_ipv6), whole);
        let inside = feasible_routes(&with(&["10.8.3.0/24"]), &without, &without);
        let said = inside.lack.expect("a lack").to_string();
        assert!(
            said.starts_with("the route 10.8.3.0/24 of the group eng lies in OPENVPN_NETWORK (10.8.0.0/16): "),
            "{said}"
        );
    }

    #[test]
    fn a_search_domain_that_no_line_holds_is_left_out_and_told() {
        let label = "a".repeat(60);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(pushes::MOST_DOMAIN - 183));
        let domains = [format!("{longest}b"), longest.clone()];
        let network = Network {
            search_domains: domains.iter().map(|domain| domain.parse().expect("a domain")).collect(),
            ..Network::default()
        };
        let tunnel = [tunnel(None)];

        let found = feasible(&network, &tunnel, &tunnel);

        assert_eq!(found.network.search_domains, [longest.as_str()]);
        assert_eq!(
            found.lack.expect("a lack").to_string(),
            format!(
                "the search domain {longest}b is too long for a line of OpenVPN: take one of at most {} characters",
                pushes::MOST_DOMAIN
            )
        );
    }
}
