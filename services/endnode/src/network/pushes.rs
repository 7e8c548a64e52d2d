//! What OpenVPN pushes to clients: lines of a file of its `client-config-dir`.
//!
//! Every value has a type that cannot carry a second directive. Clients of OpenVPN 2.5, 2.6 and OpenVPN Connect (OpenVPN 3) take all of
//! them: each has `dhcp-option DNS` for addresses of both families, `DOMAIN` and `DOMAIN-SEARCH`, and none before 2.6 has `dns`.

use std::fmt::{self, Write as _};

use vpnmanager_nats::{
    groups::GroupName,
    network::{Network, Prefix},
};

use crate::openvpn::tunnel::Tunnel;

/// The longest search domain: OpenVPN takes what is beyond 254 bytes of a line for the next line.
pub(super) const MOST_DOMAIN: usize = 254 - "push \"dhcp-option DOMAIN-SEARCH \"".len();

/// An address for clients that have none of IPv6 in the tunnel, so that they can be told to send IPv6 into it. All have the same, because
/// nothing of it leaves them: a unique local one of a random prefix (RFC 4193).
const BLOCKED_IPV6: &str = "fd5c:7a3e:91d4::2/64 fd5c:7a3e:91d4::1";

/// The lines for members of this group, which has these routes besides those of the network, in this tunnel.
pub(super) fn render(network: &Network, tunnel: &Tunnel, group: &GroupName, routes: &[Prefix]) -> String {
    let source = match group.is_default() {
        true => "the network of the pool".to_owned(),
        false => format!("the network of the pool and the group {group}"),
    };
    let mut text = format!("# Written by vpnmanager-endnode from {source}; changes are overwritten.\n");
    // Writing into a String cannot fail.
    _ = write(network, tunnel, routes, &mut text);
    text
}

fn write(network: &Network, tunnel: &Tunnel, routes: &[Prefix], out: &mut String) -> fmt::Result {
    // A client complains of a route that it is told of twice.
    let own = routes.iter().filter(|route| !network.routes.contains(route));
    for route in network.routes.iter().chain(own) {
        match route.is_ipv4() {
            true => push(
                out,
                format_args!("route {} {}", route.net().network(), route.net().netmask()),
            )?,
            false => push(out, format_args!("route-ipv6 {route}"))?,
        }
    }
    match (network.redirect_gateway, tunnel.network6) {
        (true, Some(_)) => push(out, format_args!("redirect-gateway def1 ipv6"))?,
        (true, None) => write_blocked_ipv6(out)?,
        (false, _) => {}
    }
    for server in &network.dns_servers {
        push(out, format_args!("dhcp-option DNS {server}"))?;
    }
    if network.redirect_gateway && !network.dns_servers.is_empty() {
        // Windows asks the resolvers of all its interfaces at once. Clients elsewhere log that they do not know it.
        push(out, format_args!("block-outside-dns"))?;
    }
    if let Some(first) = network.search_domains.first() {
        push(out, format_args!("dhcp-option DOMAIN {first}"))?;
    }
    for domain in &network.search_domains {
        push(out, format_args!("dhcp-option DOMAIN-SEARCH {domain}"))?;
    }
    Ok(())
}

/// Everything goes into a tunnel that has no IPv6. A client that has IPv6 of its own would use it beside the tunnel: `block-ipv6` answers
/// only what is sent into the tunnel, so its IPv6 is sent there (`--block-ipv6` of OpenVPN's manual). OpenVPN 3 sends it there only if
/// it has an address.
fn write_blocked_ipv6(out: &mut String) -> fmt::Result {
    push(out, format_args!("redirect-gateway def1 ipv6"))?;
    push(out, format_args!("ifconfig-ipv6 {BLOCKED_IPV6}"))?;
    push(out, format_args!("block-ipv6"))
}

fn push(out: &mut String, option: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(out, "push \"{option}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixtures::tunnel;

    /// What is pushed to everybody who is in no other group.
    fn rendered(network: &Network, tunnel: &Tunnel) -> String {
        render(network, tunnel, &GroupName::default(), &[])
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

        let text = render(&whole(), &tunnel, &"eng".parse().expect("a name"), &routes);

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
