use std::path::Path;

use chrono::TimeDelta;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::*;

/// Writes `ca.crt`, `server.crt` and `server.key` of an authority and a server that end in these years.
fn make_pki(dir: &Path, (authority, server): (i32, i32)) {
    let named = |name: &str, until: i32| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2015, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params
    };
    let (ca_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut ca = named("Old CA", authority);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
    let issuer = Issuer::new(ca, ca_key);
    let signed = named("server", server).signed_by(&key, &issuer).expect("a certificate");
    for (name, text) in [
        ("ca.crt", ca_pem),
        ("server.crt", signed.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        fs::write(dir.join(name), text).expect("written");
    }
}

const LINES: &str =
    "port 1194\nproto udp\ndev tun\nserver 10.8.0.0 255.255.255.0\nca ca.crt\ncert server.crt\nkey server.key\n";

fn found_in(dir: &Path, text: &str, node: &NodeSide) -> Vec<String> {
    fs::write(dir.join("server.conf"), text).expect("written");
    let now = DateTime::from_timestamp(1_795_867_200, 0).expect("a time in November 2026") + TimeDelta::days(1);
    obstacles(&OldConf::read(&dir.join("server.conf")), node, now)
}

fn found(dir: &Path, node: &NodeSide) -> Vec<String> {
    found_in(dir, LINES, node)
}

fn node(networks: &[&str], listening: &[(Protocol, u16)]) -> NodeSide {
    NodeSide {
        networks: networks.iter().map(|text| text.parse().expect("a network")).collect(),
        listening: listening.to_vec(),
    }
}

#[test]
fn a_network_or_a_port_that_the_node_has_too_is_in_the_way() {
    let dir = tempfile::tempdir().expect("a folder");
    make_pki(dir.path(), (2036, 2036));
    for (networks, port, said) in [
        (&["10.8.0.0/16"][..], 443, Some("OPENVPN_NETWORK 10.8.0.0/16")),
        (&["10.8.0.128/25"], 443, Some("the old network 10.8.0.0/24")),
        (&["10.64.0.0/16"], 1194, Some("LISTENERS listens at udp 1194")),
        (&["10.64.0.0/16", "fd00:8::/64"], 443, None),
        (&[], 443, None),
    ] {
        let found = found(
            dir.path(),
            &node(networks, &[(Protocol::Udp, port), (Protocol::Tcp, 1194)]),
        );
        match said {
            Some(said) => {
                assert_eq!(found.len(), 1, "{found:?}");
                assert!(found[0].contains(said), "{found:?}");
            }
            None => assert_eq!(found, Vec::<String>::new()),
        }
    }
}

#[test]
fn each_of_several_places_where_it_listens_may_be_in_the_way() {
    let dir = tempfile::tempdir().expect("a folder");
    make_pki(dir.path(), (2036, 2036));
    let text = format!("{LINES}local 192.0.2.1\nlocal 192.0.2.1 443 tcp-server\n");
    for (listening, is_in_the_way) in [
        ((Protocol::Udp, 1194), true),
        ((Protocol::Tcp, 443), true),
        ((Protocol::Udp, 443), false),
    ] {
        let found = found_in(dir.path(), &text, &node(&[], &[listening]));
        assert_eq!(found.len(), usize::from(is_in_the_way), "{listening:?} {found:?}");
    }
}

#[test]
fn a_bridge_is_not_run_by_the_agent() {
    let dir = tempfile::tempdir().expect("a folder");
    make_pki(dir.path(), (2036, 2036));
    for text in [
        "dev tap\n",
        "dev tap0\nserver-bridge 192.168.8.4 255.255.255.0 192.168.8.128 192.168.8.254\n",
        "dev vpn\ndev-type tap\n",
    ] {
        let text = format!("{LINES}{text}");
        let found = found_in(dir.path(), &text, &NodeSide::default());
        assert!(found.len() == 1 && found[0].contains("makes a bridge"), "{found:?}");
        assert_eq!(
            OldConf::read(&dir.path().join("server.conf")).refusals(),
            Vec::<String>::new()
        );
    }
}

#[test]
fn certificates_that_have_ended_are_said_before_anything_is_started() {
    let dir = tempfile::tempdir().expect("a folder");
    for (years, said) in [
        ((2025, 2036), Some("the certificate authority of the old server")),
        ((2036, 2025), Some("the certificate of the old server")),
        ((2036, 2036), None),
    ] {
        make_pki(dir.path(), years);
        let found = found(dir.path(), &NodeSide::default());
        assert_eq!(found.len(), usize::from(said.is_some()), "{found:?}");
        let is_said = found
            .iter()
            .all(|found| found.contains(said.unwrap_or_default()) && found.contains("ended on 2025-01-01"));
        assert!(is_said, "{found:?}");
    }
    fs::write(dir.path().join("ca.crt"), [0x30, 0x82]).expect("DER");
    let found = found(dir.path(), &NodeSide::default());
    assert!(found[0].contains("no certificate in PEM"), "{found:?}");
}

#[test]
fn a_key_with_a_passphrase_and_files_that_are_not_there_are_said() {
    let dir = tempfile::tempdir().expect("a folder");
    make_pki(dir.path(), (2036, 2036));
    for locked in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,AA\n\nAA==\n-----END RSA PRIVATE KEY-----\n",
    ] {
        fs::write(dir.path().join("server.key"), locked).expect("written");
        let found = found(dir.path(), &NodeSide::default());
        assert!(found.len() == 1 && found[0].contains("passphrase"), "{found:?}");
    }
    fs::remove_file(dir.path().join("server.key")).expect("removed");
    fs::remove_file(dir.path().join("ca.crt")).expect("removed");
    let lost = found(dir.path(), &NodeSide::default());
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(lost.iter().all(|found| found.contains("cannot be read")), "{lost:?}");
    // All in one file.
    make_pki(dir.path(), (2036, 2036));
    let block = |name: &str, file: &str| {
        let text = fs::read_to_string(dir.path().join(file)).expect("read");
        format!("<{name}>\n{text}</{name}>\n")
    };
    let whole = format!(
        "dev tun\n{}{}{}",
        block("ca", "ca.crt"),
        block("cert", "server.crt"),
        block("key", "server.key")
    );
    assert_eq!(found_in(dir.path(), &whole, &NodeSide::default()), Vec::<String>::new());
}
