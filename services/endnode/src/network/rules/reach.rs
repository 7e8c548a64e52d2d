//! What members of a group reach, as rules that return what they may send.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use vpnmanager_nats::{
    groups::{PortRange, Reach, Transport},
    network::{DnsServer, Prefix},
};

use super::text::{REJECT, one_of};
use crate::{groups::Layout, openvpn::tunnel::Tunnel};

/// The number of the server's own address.
const SERVER: u32 = 1;

/// The rules of a group whose members reach this in these tunnels, and ask these servers for names.
pub(super) fn judging(reach: &[Reach], tunnels: &[Tunnel], dns: &[DnsServer]) -> Vec<String> {
    // Somebody else began, so it is no reaching of theirs.
    let mut rules = vec!["ct direction reply ct state established return".to_owned()];
    rules.extend(echoing(tunnels));
    rules.extend(asking(dns));
    rules.extend(reach.iter().map(reaching));
    rules.push(REJECT.to_owned());
    rules
}

/// The rules that accept what goes to these prefixes. Some may be in others.
pub(super) fn ways(routes: &[Prefix]) -> Vec<String> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for route in routes {
        match route.net() {
            IpNet::V4(net) => v4.push(net),
            IpNet::V6(net) => v6.push(net),
        }
    }
    let v4 = listed(&Ipv4Net::aggregate(&v4)).map(|list| format!("ip daddr {list} accept"));
    let v6 = listed(&Ipv6Net::aggregate(&v6)).map(|list| format!("ip6 daddr {list} accept"));
    v4.into_iter().chain(v6).collect()
}

/// Whether the node is there can always be tried, by its address in each tunnel.
fn echoing(tunnels: &[Tunnel]) -> Vec<String> {
    let own = |tunnel: &Tunnel| Layout::new(tunnel.network, tunnel.network6).address(SERVER);
    let v4: Vec<String> = tunnels.iter().map(|tunnel| own(tunnel).to_string()).collect();
    let networks6 = tunnels.iter().filter_map(|tunnel| tunnel.network6);
    let v6: Vec<String> = networks6.map(|network| network.at(1).to_string()).collect();
    let v4 = format!("ip daddr {} icmp type echo-request return", one_of(&v4));
    let v6 = (!v6.is_empty()).then(|| format!("ip6 daddr {} icmpv6 type echo-request return", one_of(&v6)));
    [v4].into_iter().chain(v6).collect()
}

/// Names can always be asked for: without them nothing that may be reached is found.
fn asking(dns: &[DnsServer]) -> Vec<String> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for server in dns {
        match server.address() {
            IpAddr::V4(address) => v4.push(Ipv4Net::from(address)),
            IpAddr::V6(address) => v6.push(Ipv6Net::from(address)),
        }
    }
    let v4 = listed(&Ipv4Net::aggregate(&v4)).map(|list| format!("ip daddr {list}"));
    let v6 = listed(&Ipv6Net::aggregate(&v6)).map(|list| format!("ip6 daddr {list}"));
    v4.into_iter()
        .chain(v6)
        .flat_map(|servers| ["udp", "tcp"].map(|protocol| format!("{servers} {protocol} dport 53 return")))
        .collect()
}

fn reaching(reach: &Reach) -> String {
    let to = reach.to.map(|to| match to.is_ipv4() {
        true => format!("ip daddr {to}"),
        false => format!("ip6 daddr {to}"),
    });
    let with = reach.protocol.map(|protocol| match protocol {
        Transport::Tcp | Transport::Udp => match listed(&merged(&reach.ports)) {
            Some(ports) => format!("{protocol} dport {ports}"),
            None => format!("meta l4proto {protocol}"),
        },
        Transport::Icmp => match reach.to.map(|to| to.is_ipv4()) {
            Some(true) => "meta l4proto icmp".to_owned(),
            Some(false) => "meta l4proto ipv6-icmp".to_owned(),
            None => "meta l4proto { icmp, ipv6-icmp }".to_owned(),
        },
    });
    let words = to.into_iter().chain(with).chain(["return".to_owned()]);
    words.collect::<Vec<_>>().join(" ")
}

/// What some of the ranges have in common is in one of these. Nft takes no others in a set.
fn merged(ports: &[PortRange]) -> Vec<String> {
    let mut sorted: Vec<(u16, u16)> = ports.iter().map(|range| (range.first(), range.last())).collect();
    sorted.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in sorted {
        match merged.last_mut() {
            Some((_, before)) if first <= before.saturating_add(1) => *before = last.max(*before),
            Some(_) | None => merged.push((first, last)),
        }
    }
    let texts = merged.into_iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    texts.collect()
}

/// As nft reads a set; `None` where nothing is in it.
fn listed<T: ToString>(items: &[T]) -> Option<String> {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| format!("{{ {} }}", texts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixtures::{HALVES6, tunnel, two_tunnels};

    fn reach(text: &str) -> String {
        reaching(&serde_json::from_str(text).expect("an entry"))
    }

    #[test]
    fn an_entry_says_where_to_with_what_and_on_which_ports() {
        for (text, expected) in [
            ("{}", "return"),
            (r#"{"to": "10.20.0.0/16"}"#, "ip daddr 10.20.0.0/16 return"),
            (
                r#"{"to": "fd20::/48", "protocol": "udp"}"#,
                "ip6 daddr fd20::/48 meta l4proto udp return",
            ),
            (
                r#"{"to": "10.20.0.5/32", "protocol": "tcp", "ports": ["443"]}"#,
                "ip daddr 10.20.0.5/32 tcp dport { 443 } return",
            ),
            (
                r#"{"protocol": "udp", "ports": ["53", "123"]}"#,
                "udp dport { 53, 123 } return",
            ),
            (r#"{"protocol": "icmp"}"#, "meta l4proto { icmp, ipv6-icmp } return"),
            (
                r#"{"to": "10.20.0.0/16", "protocol": "icmp"}"#,
                "ip daddr 10.20.0.0/16 meta l4proto icmp return",
            ),
            (
                r#"{"to": "fd20::/48", "protocol": "icmp"}"#,
                "ip6 daddr fd20::/48 meta l4proto ipv6-icmp return",
            ),
        ] {
            assert_eq!(reach(text), expected);
        }
    }

    #[test]
    fn ports_that_are_named_twice_are_in_one_range() {
        let ranges = |texts: &[&str]| {
            let ports: Vec<PortRange> = texts.iter().map(|text| text.parse().expect("ports")).collect();
            merged(&ports).join(" ")
        };
        assert_eq!(ranges(&["443", "80", "443"]), "80 443");
        assert_eq!(ranges(&["8000-8100", "8050-8200", "8201", "9000"]), "8000-8201 9000");
        assert_eq!(ranges(&["1-65535", "22"]), "1-65535");
    }

    #[test]
    fn prefixes_in_each_other_are_one() {
        let routes: Vec<Prefix> = ["10.40.0.0/16", "10.40.7.0/24", "fd40::/48", "192.0.2.7/32"]
            .iter()
            .map(|route| route.parse().expect("a prefix"))
            .collect();
        assert_eq!(
            ways(&routes),
            [
                "ip daddr { 10.40.0.0/16, 192.0.2.7/32 } accept",
                "ip6 daddr { fd40::/48 } accept"
            ]
        );
        assert_eq!(ways(&[]), Vec::<String>::new());
    }

    #[test]
    fn the_node_answers_by_its_address_in_each_tunnel() {
        assert_eq!(
            echoing(&[tunnel(None)]),
            ["ip daddr 10.8.0.1 icmp type echo-request return"]
        );
        assert_eq!(
            echoing(&two_tunnels(Some(HALVES6))),
            [
                "ip daddr { 10.8.0.1, 10.8.128.1 } icmp type echo-request return",
                "ip6 daddr { fd00:8::1, fd00:8::8000:0:0:1 } icmpv6 type echo-request return",
            ]
        );
    }

    /// A chain of a group judges what is for the node itself too.
    #[test]
    fn members_who_reach_nothing_ask_a_dns_server_at_the_node_in_whichever_tunnel_they_are() {
        let servers: Vec<DnsServer> = vec!["10.8.0.1".parse().expect("a server")];
        assert_eq!(
            judging(&[], &two_tunnels(None), &servers),
            [
                "ct direction reply ct state established return",
                "ip daddr { 10.8.0.1, 10.8.128.1 } icmp type echo-request return",
                "ip daddr { 10.8.0.1/32 } udp dport 53 return",
                "ip daddr { 10.8.0.1/32 } tcp dport 53 return",
                REJECT,
            ]
        );
    }

    #[test]
    fn names_can_be_asked_for_over_both_protocols() {
        let servers: Vec<DnsServer> = ["10.20.0.53", "fd20::53"]
            .iter()
            .map(|server| server.parse().expect("a server"))
            .collect();
        assert_eq!(
            asking(&servers),
            [
                "ip daddr { 10.20.0.53/32 } udp dport 53 return",
                "ip daddr { 10.20.0.53/32 } tcp dport 53 return",
                "ip6 daddr { fd20::53/128 } udp dport 53 return",
                "ip6 daddr { fd20::53/128 } tcp dport 53 return",
            ]
        );
    }
}
