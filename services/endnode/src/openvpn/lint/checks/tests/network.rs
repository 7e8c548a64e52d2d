//! What the network of the pool asks of a server.

use serde_json::{Value, json};
use tokio::sync::watch;
use vpnmanager_nats::{
    ids::Revision,
    network::{Network, PoolNetwork},
};

use super::*;
use crate::openvpn::lint::{CommandLine, LintedConf};

const ADD_IPV6: &str = "add `server-ipv6 fd12:3456:789a::/64` with a network of your own in its place";

/// The same where everything goes into the tunnel: IPv6 may be refused there too.
const ADD_OR_REFUSE_IPV6: &str = "add `server-ipv6 fd12:3456:789a::/64` with a network of your own in its place, or have all of \
     `push \"redirect-gateway def1 ipv6\"`, `push \"ifconfig-ipv6 fd5c:7a3e:91d4::2/64 fd5c:7a3e:91d4::1\"`, `push \"block-ipv6\"`";

fn network(of: Value) -> Network {
    serde_json::from_value(of).expect("a network")
}

fn of_pool(network: Value) -> Place {
    let mut place = Place::new();
    place.expected.network = Some(self::network(network));
    place
}

/// What these findings ask for, without the reasons. None is more than a warning.
fn asked(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(asked_by).collect()
}

fn asked_by(finding: &Finding) -> &str {
    assert_eq!(finding.severity, Severity::Warning, "{finding}");
    finding.message.split(": ").next().unwrap_or_default()
}

#[test]
fn each_line_that_is_missing_is_named_and_is_all_that_it_takes() {
    let cases: [(Value, &[&str]); 5] = [
        (
            json!({ "routes": ["10.20.0.0/16", "192.0.2.7/32"] }),
            &[
                "push \"route 10.20.0.0 255.255.0.0\"",
                "push \"route 192.0.2.7 255.255.255.255\"",
            ],
        ),
        (
            json!({ "dns_servers": ["10.20.0.53", "fd20::53"] }),
            &[
                "push \"dhcp-option DNS 10.20.0.53\"",
                "push \"dhcp-option DNS fd20::53\"",
            ],
        ),
        (
            json!({ "search_domains": ["corp.example", "lab.example"] }),
            &[
                "push \"dhcp-option DOMAIN-SEARCH corp.example\"",
                "push \"dhcp-option DOMAIN-SEARCH lab.example\"",
            ],
        ),
        (json!({ "client_to_client": true }), &["client-to-client"]),
        (json!({}), &[]),
    ];
    for (network, lines) in cases {
        let place = of_pool(network);
        let additions: Vec<String> = lines.iter().map(|line| format!("add `{line}`")).collect();
        assert_eq!(asked(&place.findings(GOOD)), additions);
        assert_eq!(place.with(&lines.join("\n")), [], "with {lines:?}");
    }
}

#[test]
fn wider_ways_into_the_tunnel_cover_a_route_and_other_ways_do_not() {
    let place = of_pool(json!({ "routes": ["10.20.0.0/16", "10.21.0.0/16"] }));
    for lines in [
        "push \"route 10.20.0.0 255.254.0.0\"",
        "push \"route 10.0.0.0 255.0.0.0 vpn_gateway 5\"",
        "push \"route 10.20.0.0 255.255.0.0 default 10\"\npush \"route 10.21.0.0 255.255.0.0\"",
        "push \"route 0.0.0.0 128.0.0.0\"\npush \"route 128.0.0.0 128.0.0.0\"",
        "push \"redirect-gateway def1\"",
        "push 'redirect-gateway def1 bypass-dhcp'",
    ] {
        assert_eq!(place.with(lines), [], "with {lines}");
    }
    for line in [
        "route 10.0.0.0 255.0.0.0",
        "push \"route 10.0.0.0 255.0.0.0 net_gateway\"",
        "push \"route 10.20.0.0\"",
        "push \"route 10.20.0.0 255.0.255.0\"",
        "push \"route internal.example\"",
        "push \"redirect-gateway !ipv4 ipv6\"",
        "push \"redirect-private def1\"",
    ] {
        assert_eq!(place.with(line).len(), 2, "with {line}");
    }
}

#[test]
fn routes_of_ipv6_need_addresses_in_the_tunnel_too() {
    let place = of_pool(json!({ "routes": ["fd20::/48"] }));
    let push = "add `push \"route-ipv6 fd20::/48\"`";
    assert_eq!(asked(&place.findings(GOOD)), [push, ADD_IPV6]);
    assert_eq!(asked(&place.with("block-ipv6")), [push, ADD_IPV6]);
    assert_eq!(asked(&place.with("server-ipv6 fd00:8::/64")), [push]);
    for push in ["route-ipv6 fd20::/48", "route-ipv6 fd00::/8", "redirect-gateway ipv6"] {
        let lines = format!("server-ipv6 fd00:8::/64\npush \"{push}\"");
        assert_eq!(place.with(&lines), [], "with {lines}");
    }
}

#[test]
fn beside_nopool_addresses_of_ipv6_are_asked_for_in_lines_that_openvpn_takes_there() {
    let place = of_pool(json!({ "routes": ["fd20::/48"] }));
    let push = "push \"route-ipv6 fd20::/48\"";
    let nopool = "server 10.8.0.0 255.255.255.0 nopool\nifconfig-pool 10.8.0.2 10.8.0.126 255.255.255.0";
    let with = |lines: &str| place.with(&[nopool, push, lines].join("\n"));
    assert_eq!(
        asked(&with("")),
        [
            "add `ifconfig-ipv6 fd12:3456:789a::1/64 fd12:3456:789a::2` and `ifconfig-ipv6-pool fd12:3456:789a::1000/64` with a network of \
             your own in its place"
        ]
    );
    let taken = "ifconfig-ipv6 fd12:3456:789a::1/64 fd12:3456:789a::2\nifconfig-ipv6-pool fd12:3456:789a::1000/64";
    assert_eq!(with(taken), []);

    let found = with("server-ipv6 fd00:8::/64");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, Severity::Error);
    assert!(
        found[0].message.starts_with(
            "take `ifconfig-ipv6 fd00:8::1/64 fd00:8::2` and `ifconfig-ipv6-pool fd00:8::1000/64` in place of `server-ipv6 fd00:8::/64`"
        ),
        "{found:?}"
    );
}

#[test]
fn everything_goes_into_the_tunnel_in_both_families() {
    let place = of_pool(json!({ "redirect_gateway": true, "routes": ["10.20.0.0/16"] }));
    let redirect = "add `push \"redirect-gateway def1\"`";
    assert_eq!(asked(&place.findings(GOOD)), [redirect, ADD_OR_REFUSE_IPV6]);
    assert_eq!(
        asked(&place.with("push \"redirect-gateway def1\"")),
        [ADD_OR_REFUSE_IPV6],
        "IPv6 of clients goes beside the tunnel"
    );
    let with_ipv6 = |line: &str| place.with(&format!("server-ipv6 fd00:8::/64\n{line}"));
    let both = "push \"redirect-gateway def1 ipv6\"";
    assert_eq!(asked(&with_ipv6("")), [format!("add `{both}`")]);
    assert_eq!(
        asked(&with_ipv6("push \"redirect-gateway def1\"")),
        [format!("set `{both}`")]
    );
    assert_eq!(with_ipv6(both), []);
    let halves = "push \"route 0.0.0.0 128.0.0.0\"\npush \"route 128.0.0.0 128.0.0.0\"";
    assert_eq!(with_ipv6(&format!("{halves}\npush \"route-ipv6 2000::/3\"")), []);
}

#[test]
fn ipv6_that_is_sent_into_the_tunnel_and_refused_there_does_not_go_beside_it() {
    let place = of_pool(json!({ "redirect_gateway": true }));
    let [way, address] = [
        "push \"redirect-gateway def1 ipv6\"",
        "push \"ifconfig-ipv6 fd15:53b6:dead::2/64 fd15:53b6:dead::1\"",
    ];
    let ipv4 = "push \"redirect-gateway def1\"";
    let halves = format!("{ipv4}\npush \"route-ipv6 2000::/3\"");
    for block in ["push \"block-ipv6\"", "block-ipv6"] {
        for way in [way, halves.as_str()] {
            assert_eq!(
                place.with(&[way, address, block].join("\n")),
                [],
                "with {way} and {block}"
            );
        }
        for lines in [
            &[ipv4, block][..],
            &[ipv4, address, block],
            &[way, block],
            &[way, address],
        ] {
            assert_eq!(
                asked(&place.with(&lines.join("\n"))),
                [ADD_OR_REFUSE_IPV6],
                "with {lines:?}"
            );
        }
    }
}

#[test]
fn clients_may_be_told_of_names_in_other_words() {
    let place = of_pool(json!({ "dns_servers": ["10.20.0.53"], "search_domains": ["corp.example"] }));
    for lines in [
        "push \"dhcp-option DNS 10.20.0.53\"\npush \"dhcp-option DOMAIN corp.example\"",
        "push 'dhcp-option DNS 10.20.0.53'\npush \"dhcp-option DOMAIN-SEARCH Corp.Example.\"",
        "push \"dns server 0 address 10.20.0.53\"\npush \"dns search-domains corp.example\"",
        "push \"dns server 1 address [fd20::53]:53 10.20.0.53:5353\"\npush \"dns search-domains lab.example corp.example\"",
    ] {
        assert_eq!(place.with(lines), [], "with {lines}");
    }
    for lines in [
        "dhcp-option DNS 10.20.0.53\ndhcp-option DOMAIN corp.example",
        "push \"dhcp-option NTP 10.20.0.53\"\npush \"dhcp-option DOMAIN example\"",
        "push \"dns server 0 sni corp.example\"\npush \"dns server 0 resolve-domains corp.example\"",
    ] {
        assert_eq!(place.with(lines).len(), 2, "with {lines}");
    }
}

#[test]
fn clients_that_reach_each_other_where_the_pool_says_no_are_a_finding() {
    let place = of_pool(json!({ "client_to_client": false }));
    assert_eq!(asked(&place.with("client-to-client")), ["remove `client-to-client`"]);
}

#[test]
fn a_server_that_says_an_mtu_says_that_of_the_pool() {
    for (mtu, lines, expected) in [
        (json!(1320), "tun-mtu 1320", None),
        (json!(1320), "tun-mtu 1400", Some("set `tun-mtu 1320`")),
        (
            json!(1320),
            "tun-mtu 1400\npush \"tun-mtu 1400\"",
            Some("set `tun-mtu 1320`"),
        ),
        (json!(1320), "tun-mtu 1500", Some("set `tun-mtu 1320`")),
        (json!(1320), "", None),
        (json!(1500), "tun-mtu 1400", Some("set `tun-mtu 1500`")),
        (
            Value::Null,
            "tun-mtu 1400",
            Some("remove `tun-mtu 1400`, or add `push \"tun-mtu 1400\"`"),
        ),
        (Value::Null, "tun-mtu 1500", None),
    ] {
        let place = of_pool(json!({ "mtu": mtu }));
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(asked(&place.with(lines)), expected, "{mtu}, with {lines}");
    }
}

#[test]
fn a_machine_that_does_not_forward_is_told_with_the_switch_of_each_family_that_is_needed() {
    let ipv4 = "set `net.ipv4.ip_forward = 1` with sysctl, and in /etc/sysctl.d for the next boot";
    let ipv6 = "set `net.ipv6.conf.all.forwarding = 1` with sysctl, and in /etc/sysctl.d for the next boot";
    let both = "server-ipv6 fd00:8::/64\npush \"redirect-gateway def1 ipv6\"";
    let cases: [(Value, &str, &[&str]); 4] = [
        (
            json!({ "routes": ["10.20.0.0/16"] }),
            "push \"route 10.20.0.0 255.255.0.0\"",
            &[ipv4],
        ),
        (
            json!({ "routes": ["fd20::/48"] }),
            "server-ipv6 fd00:8::/64\npush \"route-ipv6 fd20::/48\"",
            &[ipv6],
        ),
        (json!({ "redirect_gateway": true }), both, &[ipv4, ipv6]),
        (
            json!({ "dns_servers": ["10.8.0.1"] }),
            "push \"dhcp-option DNS 10.8.0.1\"",
            &[],
        ),
    ];
    for (network, lines, switches) in cases {
        let place = of_pool(network);
        let switch = |value: &str| {
            for file in ["sys/net/ipv4/ip_forward", "sys/net/ipv6/conf/all/forwarding"] {
                let file = place.path(file);
                fs::create_dir_all(file.parent().expect("a folder")).expect("made");
                fs::write(file, value).expect("written");
            }
        };
        assert_eq!(place.with(lines), [], "what cannot be read is not spoken of");
        switch("0\n");
        assert_eq!(asked(&place.with(lines)), switches, "with {lines}");
        switch("1\n");
        assert_eq!(place.with(lines), [], "with {lines}");
    }
}

#[test]
fn a_machine_that_has_its_route_from_router_advertisements_is_told_to_keep_it_first() {
    let place = of_pool(json!({ "routes": ["fd20::/48"] }));
    let write = |file: &str, value: &str| {
        let file = place.path(&format!("sys/net/ipv6/conf/{file}"));
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, value).expect("written");
    };
    write("all/forwarding", "0\n");
    for (interface, accept_ra) in [
        ("all", "1\n"),
        ("default", "1\n"),
        ("lo", "1\n"),
        ("tun0", "1\n"),
        ("eth1.5", "1\n"),
        ("eth0", "1\n"),
        ("eth2", "0\n"),
        ("eth3", "2\n"),
    ] {
        write(&format!("{interface}/accept_ra"), accept_ra);
    }
    let lines = "server-ipv6 fd00:8::/64\npush \"route-ipv6 fd20::/48\"";

    let found = place.with(lines);

    assert_eq!(
        asked(&found),
        [
            "set `net.ipv6.conf.eth0.accept_ra = 2`, `net.ipv6.conf.eth1/5.accept_ra = 2`, and only then `net.ipv6.conf.all.forwarding = 1`, \
             with sysctl, and in /etc/sysctl.d for the next boot"
        ]
    );
    assert!(found[0].message.contains("the machine forwards no IPv6"), "{found:?}");

    for interface in ["eth0", "eth1.5"] {
        write(&format!("{interface}/accept_ra"), "2\n");
    }
    assert_eq!(
        asked(&place.with(lines)),
        ["set `net.ipv6.conf.all.forwarding = 1` with sysctl, and in /etc/sysctl.d for the next boot"]
    );
    write("all/forwarding", "1\n");
    assert_eq!(place.with(lines), []);
}

#[test]
fn another_network_is_judged_at_once() {
    let place = Place::new();
    let file = place.path("server.conf");
    fs::write(&file, GOOD).expect("written");
    let told = watch::Sender::new(None);
    let conf = LintedConf::new(file, place.expected.clone(), told.subscribe());
    assert_eq!(conf.findings(), []);
    let tell = |network: Option<Value>| {
        told.send_replace(Some(PoolNetwork {
            pool: "default".parse().expect("a pool"),
            revision: Revision(1),
            network: network.map(self::network),
        }));
    };

    tell(Some(json!({ "routes": ["10.20.0.0/16"] })));
    assert_eq!(asked(&conf.findings()), ["add `push \"route 10.20.0.0 255.255.0.0\"`"]);
    tell(Some(json!({ "client_to_client": true })));
    assert_eq!(asked(&conf.findings()), ["add `client-to-client`"]);
    tell(None);
    assert_eq!(conf.findings(), [], "the pool has none any more");
}

#[test]
fn what_only_the_command_line_says_is_a_cause_here_too() {
    let place = of_pool(json!({}));
    let file = place.path("server.conf");
    fs::write(&file, GOOD).expect("written");
    let running = Running {
        command_line: Some(CommandLine::parse(&["--config", "server.conf", "--client-to-client"])),
        ..Running::default()
    };
    let found = lint(&file, &place.expected, &running).findings;
    assert_eq!(asked(&found), ["remove `client-to-client`"]);
    assert!(found[0].message.contains("`--client-to-client`"), "{found:?}");
}
