//! What OpenVPN pushes to clients: lines of a file of its `client-config-dir`.
//!
//! Every value has a type that cannot carry a second directive. Clients of OpenVPN 2.5, 2.6 and OpenVPN Connect (OpenVPN 3) take all of
//! them but the MTU: each has `dhcp-option DNS` for addresses of both families, `DOMAIN` and `DOMAIN-SEARCH`, and none before 2.6 has `dns`.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
};

use ipnet::IpNet;
use vpnmanager_nats::{
    groups::GroupName,
    network::{Mtu, Network, Prefix},
};

use super::tunnels::{all_have_ipv6, whole4, whole6};
use crate::openvpn::{
    pushable::{BLOCKED_IPV6, REDIRECT_BOTH, route_to},
    tunnel::Tunnel,
};

/// The longest search domain: OpenVPN takes what is beyond 254 bytes of a line for the next line.
pub(super) const MOST_DOMAIN: usize = 254 - "push \"dhcp-option DOMAIN-SEARCH \"".len();

/// The lines for members of this group, which has these routes besides those of the network, in these tunnels: it
/// is the same in all of them.
pub(super) fn render(network: &Network, tunnels: &[Tunnel], group: &GroupName, routes: &[Prefix]) -> String {
    let source = match group.is_default() {
        true => "the network of the pool".to_owned(),
        false => format!("the network of the pool and the group {group}"),
    };
    let mut text = format!("# Written by vpnmanager-endnode from {source}; changes are overwritten.\n");
    // Writing into a String cannot fail.
    _ = write(network, tunnels, routes, &mut text);
    text
}

fn write(network: &Network, tunnels: &[Tunnel], routes: &[Prefix], out: &mut String) -> fmt::Result {
    // A client complains of a route that it is told of twice.
    let own = routes.iter().filter(|route| !network.routes.contains(route));
    let mut routes: Vec<IpNet> = network.routes.iter().chain(own).map(Prefix::net).collect();
    let mut of_clients = of_clients(network, tunnels);
    of_clients.retain(|net| !routes.contains(net));
    routes.append(&mut of_clients);
    let mut to_servers = to_servers(network, tunnels, &routes);
    routes.append(&mut to_servers);
    for route in &routes {
        push(out, route_to(route))?;
    }
    match (network.redirect_gateway, all_have_ipv6(tunnels)) {
        (true, true) => push(out, REDIRECT_BOTH)?,
        (true, false) => BLOCKED_IPV6.iter().try_for_each(|option| push(out, option))?,
        (false, true | false) => {}
    }
    for server in &network.dns_servers {
        push(out, format_args!("dhcp-option DNS {server}"))?;
    }
    if network.redirect_gateway && !network.dns_servers.is_empty() {
        // Windows asks the resolvers of all its interfaces at once. Clients elsewhere log that they do not know it.
        push(out, "block-outside-dns")?;
    }
    if let Some(first) = network.search_domains.first() {
        push(out, format_args!("dhcp-option DOMAIN {first}"))?;
    }
    for domain in &network.search_domains {
        push(out, format_args!("dhcp-option DOMAIN-SEARCH {domain}"))?;
    }
    match network.mtu {
        Some(mtu) => write_mtu(mtu, out),
        None => Ok(()),
    }
}

/// Where clients of other listeners are whom a client may reach. It knows its own tunnel, whose network is a slice of this one.
fn of_clients(network: &Network, tunnels: &[Tunnel]) -> Vec<IpNet> {
    if !network.client_to_client || tunnels.len() < 2 {
        return Vec::new();
    }
    let v6 = whole6(tunnels).filter(|_| all_have_ipv6(tunnels));
    whole4(tunnels).into_iter().chain(v6).collect()
}

/// The ways to DNS servers in the tunnels, such as one at an address of the node there, where no other route leads to them. A client knows the
/// way to those of its own tunnel alone, and clients of all tunnels are told the same.
fn to_servers(network: &Network, tunnels: &[Tunnel], routes: &[IpNet]) -> Vec<IpNet> {
    if network.redirect_gateway || tunnels.len() < 2 {
        return Vec::new();
    }
    let servers = network.dns_servers.iter().map(|server| server.address());
    let inside = servers.filter(|address| tunnels.iter().any(|tunnel| holds(tunnel, *address)));
    let unknown = inside.filter(|address| !routes.iter().any(|route| route.contains(address)));
    unknown.map(IpNet::from).collect()
}

fn holds(tunnel: &Tunnel, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => tunnel.network.contains(address),
        IpAddr::V6(address) => tunnel.network6.is_some_and(|network| network.contains(address)),
    }
}

/// OpenVPN 2.6 and OpenVPN 3 take it, as long as their `tun-mtu-max` is not lower (1600 bytes). OpenVPN 2.5 logs that it cannot be pushed, and has
/// it from its profile. A server of OpenVPN 2.6 pushes its own MTU behind it (`prepare_push_reply` of its push.c), so this one counts with
/// profiles that leave the server's out: management hands these out while the pool says an MTU (`Extras::mtu` of the crate `profile`).
fn write_mtu(mtu: Mtu, out: &mut String) -> fmt::Result {
    push(out, format_args!("tun-mtu {mtu}"))
}

fn push(out: &mut String, option: impl fmt::Display) -> fmt::Result {
    writeln!(out, "push \"{option}\"")
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::network::fixtures::{HALVES6, tunnel, two_tunnels, with_routes};

    /// What is pushed to everybody who is in no other group.
    fn rendered(network: &Network, tunnel: &Tunnel) -> String {
        render(network, slice::from_ref(tunnel), &GroupName::default(), &[])
    }

    fn whole() -> Network {
        Network {
            routes: ["10.20.0.0/16", "192.0.2.7/32", "2001:db8:20::/48"]
                .map(|route| route.parse().expect("a prefix"))
                .to_vec(),
            redirect_gateway: false,
            dns_servers: ["10.20.0.53", "2001:db8:20::53"]
                .map(|server| server.parse().expect("a server"))
                .to_vec(),
            search_domains: ["corp.example", "lab.example"]
                .map(|domain| domain.parse().expect("a domain"))
                .to_vec(),
            ..Network::default()
        }
    }

    #[test]
    fn rendered_with_routes_and_dns() {
        insta::assert_snapshot!(rendered(&whole(), &tunnel(Some("fd00:8::/64"))));
    }

    #[test]
    fn members_of_a_group_are_told_of_its_own_routes_too_and_of_each_once() {
        let routes: Vec<Prefix> = ["10.40.0.0/16", "10.20.0.0/16", "fd40::/48"]
            .iter()
            .map(|route| route.parse().expect("a prefix"))
            .collect();
        let tunnel = tunnel(Some("fd00:8::/64"));

        let group = "eng".parse().expect("a name");
        let text = render(&whole(), slice::from_ref(&tunnel), &group, &routes);

        let pool = rendered(&whole(), &tunnel);
        let more: Vec<&str> = text
            .lines()
            .filter(|line| !pool.lines().any(|of| of == *line))
            .collect();
        assert_eq!(
            more,
            [
                "# Written by vpnmanager-endnode from the network of the pool and the group eng; changes are overwritten.",
                "push \"route 10.40.0.0 255.255.0.0\"",
                "push \"route-ipv6 fd40::/48\"",
            ]
        );
        assert_eq!(text.lines().count(), pool.lines().count() + 2);
    }

    #[test]
    fn rendered_for_all_traffic_with_ipv6_and_without() {
        let network = Network {
            redirect_gateway: true,
            ..Network::default()
        };
        let lines = |network6| {
            let text = rendered(&network, &tunnel(network6));
            let lines = text.lines().skip(1).map(str::to_owned);
            lines.collect::<Vec<_>>()
        };
        assert_eq!(lines(Some("fd00:8::/64")), ["push \"redirect-gateway def1 ipv6\""]);
        assert_eq!(
            lines(None),
            [
                "push \"redirect-gateway def1 ipv6\"",
                "push \"ifconfig-ipv6 fd5c:7a3e:91d4::2/64 fd5c:7a3e:91d4::1\"",
                "push \"block-ipv6\"",
            ]
        );
    }

    #[test]
    fn clients_who_reach_each_other_are_told_where_those_of_other_listeners_are() {
        let own_route = with_routes(&["10.8.0.0/16"]).routes;
        let lines = |network: &Network, tunnels: &[Tunnel], routes: &[Prefix]| {
            let text = render(network, tunnels, &"eng".parse().expect("a name"), routes);
            let lines = text.lines().skip(1).map(str::to_owned);
            lines.collect::<Vec<_>>()
        };
        let together = Network {
            client_to_client: true,
            ..with_routes(&["10.20.0.0/16"])
        };
        let pool = "push \"route 10.20.0.0 255.255.0.0\"";
        let (v4, v6) = ("push \"route 10.8.0.0 255.255.0.0\"", "push \"route-ipv6 fd00:8::/64\"");
        let two = two_tunnels(Some(HALVES6));
        assert_eq!(lines(&together, &two, &[]), [pool, v4, v6]);
        assert_eq!(lines(&together, &two, &own_route), [pool, v4, v6], "of each route once");
        assert_eq!(lines(&together, &two_tunnels(None), &[]), [pool, v4]);

        assert_eq!(lines(&with_routes(&["10.20.0.0/16"]), &two, &[]), [pool]);
        let one = [tunnel(Some("fd00:8::/64"))];
        assert_eq!(lines(&together, &one, &[]), [pool], "a client knows its own tunnel");
        let mut elsewhere = two_tunnels(None);
        elsewhere[1].network = "192.168.128.0/17".parse().expect("a network");
        assert_eq!(
            lines(&together, &elsewhere, &[]),
            [pool],
            "as after a change, until all are started anew"
        );
    }

    #[test]
    fn clients_of_all_listeners_are_told_the_way_to_a_dns_server_in_the_tunnel_of_one() {
        let two = two_tunnels(Some(HALVES6));
        let with = |servers: &[&str], network: Network| Network {
            dns_servers: servers.iter().map(|server| server.parse().expect("a server")).collect(),
            ..network
        };
        let ways = |network: &Network, tunnels: &[Tunnel]| {
            let text = render(network, tunnels, &GroupName::default(), &[]);
            let ways = text.lines().filter(|line| line.starts_with("push \"route"));
            ways.map(str::to_owned).collect::<Vec<_>>()
        };
        let own = ["10.8.0.1", "10.20.0.53", "fd00:8::1", "10.8.128.9", "9.9.9.9"];
        let pool = "push \"route 10.20.0.0 255.255.0.0\"";
        let split = with(&own, with_routes(&["10.20.0.0/16"]));
        assert_eq!(
            ways(&split, &two),
            [
                pool,
                "push \"route 10.8.0.1 255.255.255.255\"",
                "push \"route-ipv6 fd00:8::1/128\"",
                "push \"route 10.8.128.9 255.255.255.255\"",
            ]
        );

        let one = [tunnel(Some("fd00:8::/64"))];
        assert_eq!(ways(&split, &one), [pool], "a client knows its own tunnel");
        let wider = with(&["10.8.0.1"], with_routes(&["10.0.0.0/8"]));
        assert_eq!(ways(&wider, &two), ["push \"route 10.0.0.0 255.0.0.0\""]);
        let together = Network {
            client_to_client: true,
            ..with(&["10.8.0.1"], Network::default())
        };
        assert_eq!(
            ways(&together, &two),
            ["push \"route 10.8.0.0 255.255.0.0\"", "push \"route-ipv6 fd00:8::/64\""]
        );
        let everything = Network {
            redirect_gateway: true,
            ..with(&["10.8.0.1"], Network::default())
        };
        assert_eq!(ways(&everything, &two), Vec::<String>::new());
    }

    #[test]
    fn rendered_with_an_mtu() {
        let network = Network {
            mtu: Some(Mtu::try_from(1320).expect("an MTU")),
            ..whole()
        };
        insta::assert_snapshot!(rendered(&network, &tunnel(Some("fd00:8::/64"))));
    }

    #[test]
    fn windows_asks_no_resolver_beside_the_tunnel_when_everything_goes_through_it() {
        let block = "push \"block-outside-dns\"";
        let with = |redirect_gateway, servers: &[&str]| {
            let network = Network {
                redirect_gateway,
                dns_servers: servers.iter().map(|server| server.parse().expect("a server")).collect(),
                ..Network::default()
            };
            rendered(&network, &tunnel(None)).contains(block)
        };
        assert!(with(true, &["10.20.0.53"]));
        assert!(!with(true, &[]), "it would have none");
        assert!(
            !with(false, &["10.20.0.53"]),
            "names of its own network are asked there"
        );
    }

    #[test]
    fn no_line_is_longer_than_openvpn_reads() {
        let label = "a".repeat(60);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(MOST_DOMAIN - 183));
        let network = Network {
            search_domains: vec![longest.parse().expect("a domain")],
            ..whole()
        };
        let text = rendered(&network, &tunnel(Some("fd00:8::/64")));
        assert_eq!(text.lines().map(str::len).max(), Some(254));
    }
}
