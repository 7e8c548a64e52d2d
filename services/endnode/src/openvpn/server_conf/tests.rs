use super::*;
use crate::openvpn::written_conf::{room_of, tunnel_of};

fn path(text: &str) -> ConfPath {
    ConfPath::new(Path::new(text)).expect("a valid path")
}

fn conf(protocol: Protocol) -> ServerConf {
    let dir = "/var/lib/vpnmanager/endnode";
    ServerConf {
        port: 1194,
        protocol,
        listeners: format!("{protocol}:1194").parse().expect("a listener"),
        ipv6: true,
        network: "10.8.0.0/16".parse().expect("a valid network"),
        network6: None,
        max_clients: NonZeroU32::new(1000).expect("not zero"),
        spare_places: SPARE_PLACES,
        keepalive: Keepalive::default(),
        ca: path(&format!("{dir}/openvpn/ca.crt")),
        cert: path(&format!("{dir}/openvpn/node.crt")),
        key: path(&format!("{dir}/openvpn/node.key")),
        tls_crypt_v2: path(&format!("{dir}/openvpn/tls-crypt-v2.key")),
        allow_dir: path(&format!("{dir}/allow")),
        control_socket: path("/run/vpn manager/node-1.sock"),
        control_user: "root".parse().expect("a valid name"),
        user: "nobody".parse().expect("a valid name"),
        group: "nogroup".parse().expect("a valid name"),
    }
}

#[test]
fn rendered_for_udp() {
    insta::assert_snapshot!(conf(Protocol::Udp).render());
}

#[test]
fn over_tcp_nothing_is_said_about_exit_notifications() {
    assert!(!conf(Protocol::Tcp).render().contains("explicit-exit-notify"));
    assert!(conf(Protocol::Tcp).render().contains("\nproto tcp6-server\n"));
}

#[test]
fn pings_are_as_the_node_says() {
    let text = ServerConf {
        keepalive: "10 60".parse().expect("a pair"),
        ..conf(Protocol::Tcp)
    }
    .render();
    assert!(text.contains("\nkeepalive 10 60\n"), "{text}");
}

/// Also where the node itself has no TCP: profiles name that of other nodes.
#[test]
fn every_server_over_udp_tells_its_clients_to_say_goodbye_as_it_does_itself() {
    for listeners in ["udp:1194", "udp:1194,udp:53", "udp:1194,tcp:443"] {
        let text = ServerConf {
            listeners: listeners.parse().expect("listeners"),
            ..conf(Protocol::Udp)
        }
        .render();
        let said = "\nexplicit-exit-notify 2\npush \"explicit-exit-notify 1\"\n";
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn servers_beside_each_other_say_which_ones_there_are() {
    let lines = |protocol, listeners: &str| {
        let alone = conf(protocol).render();
        let beside = ServerConf {
            listeners: listeners.parse().expect("listeners"),
            ..conf(protocol)
        };
        let text = beside.render();
        assert_eq!(tunnel_of(&text, || None), Some(beside.tunnel()));
        let is_new = |line: &&str| !alone.lines().any(|other| other == *line);
        text.lines().filter(is_new).map(str::to_owned).collect::<Vec<_>>()
    };
    for (protocol, listeners, expected) in [
        (Protocol::Udp, "udp:1194", &[][..]),
        (Protocol::Tcp, "tcp:443", &[][..]),
        (
            Protocol::Udp,
            "udp:1194,tcp:443",
            &["# listeners: udp:1194,tcp:443 of 10.8.0.0/16"][..],
        ),
        (
            Protocol::Tcp,
            "udp:1194,tcp:443",
            &["# listeners: udp:1194,tcp:443 of 10.8.0.0/16", "tcp-nodelay"][..],
        ),
        (
            Protocol::Udp,
            "udp:1194,udp:53",
            &["# listeners: udp:1194,udp:53 of 10.8.0.0/16"][..],
        ),
    ] {
        assert_eq!(lines(protocol, listeners), expected, "{protocol} of {listeners}");
    }
    let with_ipv6 = ServerConf {
        listeners: "udp:1194,tcp:443".parse().expect("listeners"),
        network6: Some("fd00:8::/65".parse().expect("a network")),
        ..conf(Protocol::Udp)
    };
    let said = "\n# listeners: udp:1194,tcp:443 of 10.8.0.0/16 fd00:8::/65\nport 1194\n";
    assert!(with_ipv6.render().contains(said), "{}", with_ipv6.render());
}

#[test]
fn ipv6_in_the_tunnel_is_said_beside_ipv4_and_the_tunnel_is_read_back_as_it_is() {
    let mut conf = conf(Protocol::Tcp);
    conf.network6 = Some("fd12:3456:789a::/64".parse().expect("a valid network"));
    let text = conf.render();
    let addresses = "\nserver 10.8.0.0 255.255.0.0 nopool\nifconfig-pool 10.8.0.2 10.8.127.255 255.255.0.0\n\
                     ifconfig-ipv6 fd12:3456:789a::1/64 fd12:3456:789a::2\nifconfig-ipv6-pool fd12:3456:789a::1000/64\n";
    assert!(text.contains(addresses), "{text}");
    assert!(text.contains("\ndev vpn-tcp1194\ndev-type tun\n"), "{text}");
    assert_eq!(tunnel_of(&text, || None), Some(conf.tunnel()));
}

#[test]
fn without_ipv6_in_the_kernel_the_server_listens_over_ipv4() {
    for (protocol, expected) in [
        (Protocol::Udp, "\nproto udp\nmultihome\n"),
        (Protocol::Tcp, "\nproto tcp-server\n"),
    ] {
        let text = ServerConf {
            ipv6: false,
            ..conf(protocol)
        }
        .render();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_path_cannot_smuggle_a_second_directive() {
    for bad in ["/a\nscript-security 2", "/a\" b", "/a'b", "/a\\b", "/a#b", "a/b", ""] {
        assert!(ConfPath::new(Path::new(bad)).is_err(), "{bad:?} was accepted");
    }
    let long = format!("/{}", "x".repeat(107));
    assert!(matches!(
        ConfPath::socket(Path::new(&long)),
        Err(InvalidServerConf::LongSocketPath { .. })
    ));
}

/// An agent of an earlier release reads the first line, and OpenVPN goes by the last.
#[test]
fn what_the_node_is_meant_for_is_said_before_the_places() {
    let text = conf(Protocol::Tcp).render();
    let limits: Vec<&str> = text.lines().filter(|line| line.starts_with("max-clients")).collect();
    assert_eq!(limits, ["max-clients 1000", "max-clients 3000"]);
}

#[test]
fn the_lower_of_network_and_limit_is_the_capacity() {
    let mut conf = conf(Protocol::Udp);
    let room = |capacity| Room { capacity, places: 3000 };
    assert_eq!(conf.room(), room(1000));
    assert_eq!(room_of(&conf.render()), Some(room(1000)));
    conf.network = "10.8.0.0/29".parse().expect("a valid network");
    assert_eq!(conf.room(), room(5));
    assert_eq!(room_of(&conf.render()), Some(room(5)));
    for odd in [
        "",
        "server 10.8.0.0 255.255.0.0\n",
        "max-clients 7\nserver 10.8.0.0 x\n",
    ] {
        assert_eq!(room_of(odd), None, "{odd:?}");
    }
}
