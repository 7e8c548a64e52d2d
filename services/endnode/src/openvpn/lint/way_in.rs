//! Whether anybody gets in at all: the profiles of users are made for a server with these keys, behind this port.

use std::{fs, net::IpAddr, path::Path};

use vpnmanager_nats::commands::Protocol;
use x509_parser::pem::Pem;

use super::{
    directives::{Directives, Source},
    expected::{Expected, is_same_place},
    finding::{Finding, error, warning},
};

/// Ciphers of the profiles.
const CIPHERS: [&str; 2] = ["AES-256-GCM", "CHACHA20-POLY1305"];

pub(super) fn check_way_in(conf: &Directives, expected: &Expected, findings: &mut Vec<Finding>) {
    check_endpoint(conf, expected, findings);
    check_keys(conf, expected, findings);
    check_names(conf, expected, findings);
    check_passwords(conf, findings);
    check_tunnel(conf, findings);
}

/// What `proto` means: it may name an address family too. Without it OpenVPN uses UDP.
pub(super) fn protocol_of(conf: &Directives) -> Protocol {
    conf.argument("proto").map_or(Protocol::Udp, protocol_named)
}

fn protocol_named(name: &str) -> Protocol {
    if name.starts_with("tcp") {
        Protocol::Tcp
    } else {
        Protocol::Udp
    }
}

/// Where the server hears clients: `local <address> [<port> [<proto>]]`, several times from OpenVPN 2.7 on.
struct Listener {
    address: Option<IpAddr>,
    port: String,
    proto: String,
}

impl Listener {
    /// Those of `local`, or the one of `port` and `proto` alone.
    fn all(conf: &Directives) -> Vec<Self> {
        let or = |name, other| conf.argument(name).unwrap_or(other).to_owned();
        let (port, proto) = (or("lport", &or("port", "1194")), or("proto", "udp"));
        let of_line = |line: &[String]| Self {
            address: line.first().and_then(|text| text.parse().ok()),
            port: line.get(1).unwrap_or(&port).clone(),
            proto: line.get(2).unwrap_or(&proto).clone(),
        };
        let listeners: Vec<Self> = conf.each("local").map(of_line).collect();
        if listeners.is_empty() {
            vec![of_line(&[])]
        } else {
            listeners
        }
    }

    fn protocol(&self) -> Protocol {
        protocol_named(&self.proto)
    }

    fn hears_ipv6(&self) -> bool {
        self.proto.contains('6') || self.address.is_some_and(|address| address.is_ipv6())
    }
}

/// One of several listeners that fits is enough.
fn check_endpoint(conf: &Directives, expected: &Expected, findings: &mut Vec<Finding>) {
    let listeners = Listener::all(conf);
    let fitting: Vec<&Listener> = listeners
        .iter()
        .filter(|listener| listener.protocol() == expected.protocol)
        .collect();
    if fitting.is_empty() {
        let spoken = protocol_of(conf);
        findings.push(error(format!(
            "set `proto {}`: profiles name that, and this server speaks {spoken}",
            expected.protocol
        )));
    }
    let heard = if fitting.is_empty() {
        listeners.iter().collect()
    } else {
        fitting
    };
    if expected.ipv6 && !heard.iter().any(|listener| listener.hears_ipv6()) {
        findings.push(error(format!(
            "set `proto {}`: profiles name an IPv6 address, and this server listens over IPv4 alone",
            match expected.protocol {
                Protocol::Udp => "udp6",
                Protocol::Tcp => "tcp6-server",
            }
        )));
    }
    if heard.iter().any(|listener| listener.protocol() == Protocol::Udp) && !conf.has("multihome") && !conf.has("local")
    {
        findings.push(warning(
            "add `multihome`: without it clients that dial a second address of this machine get no answer",
        ));
    }
    let wanted = expected.port.to_string();
    if let [first, ..] = heard.as_slice()
        && !heard.iter().any(|listener| listener.port == wanted)
    {
        findings.push(warning(format!(
            "set `port {wanted}`, which the agent's configuration says, or OPENVPN_PORT={}: nobody reaches this server unless something forwards the one to the other",
            first.port
        )));
    }
    if let Some(address) = heard.first().and_then(|listener| listener.address)
        && heard
            .iter()
            .all(|listener| listener.address.is_some_and(|address| address.is_loopback()))
    {
        findings.push(error(format!("remove `local {address}`: no client reaches it")));
    }
}

fn check_keys(conf: &Directives, expected: &Expected, findings: &mut Vec<Finding>) {
    let files = [
        ("ca", &expected.ca, "no certificate of this fleet is accepted"),
        ("cert", &expected.certificate, "clients accept no other certificate"),
    ];
    for (name, file, why) in files {
        let missing = || error(format!("set `{name} {}`: {why}", file.display()));
        match conf.source(name) {
            // The certificates may be elsewhere, where they cannot be read.
            None if conf.has("pkcs12") || (name == "ca" && conf.has("capath")) => {
                findings.push(warning(format!(
                    "whether `{name}` is the fleet's cannot be seen: {why} otherwise"
                )));
            }
            None => findings.push(missing()),
            Some(source) if !holds_certificate(&text_of(&source), &read(file)) => findings.push(missing()),
            Some(_) => {}
        }
    }
    let has_key = conf
        .source("tls-crypt-v2")
        .is_some_and(|source| without_blanks(&text_of(&source)) == without_blanks(&read(&expected.tls_crypt_v2)));
    if !has_key {
        let instead = ["tls-auth", "tls-crypt"].into_iter().find(|name| conf.has(name));
        let instead = instead.map_or_else(String::new, |name| format!(" (`{name}` is no substitute)"));
        findings.push(error(format!(
            "set `tls-crypt-v2 {}`{instead}: no profile is heard without it",
            expected.tls_crypt_v2.display()
        )));
    }
}

/// By which name a client is looked up, and where.
fn check_names(conf: &Directives, expected: &Expected, findings: &mut Vec<Finding>) {
    if let Some(field) = conf
        .argument("x509-username-field")
        .filter(|field| !field.eq_ignore_ascii_case("CN"))
    {
        findings.push(error(format!(
            "remove `x509-username-field {field}`: the allow-list goes by the certificate's common name"
        )));
    }
    if let (Some(root), Some(dir)) = (conf.path("chroot"), conf.path("client-config-dir")) {
        let inside = root.join(dir.strip_prefix("/").unwrap_or(&dir));
        if !is_same_place(&inside, &expected.allow_dir) {
            findings.push(error(format!(
                "remove `chroot {}`: OpenVPN would look for the allow-list in {}, and let nobody in",
                root.display(),
                inside.display()
            )));
        }
    }
    let others = [
        ("peer-fingerprint", "only certificates that it names get in"),
        ("verify-x509-name", "users' names differ from it"),
        ("ns-cert-type", "users' certificates do not have it"),
    ];
    for (name, why) in others {
        if conf.has(name) {
            findings.push(error(format!("remove `{name}`: {why}")));
        }
    }
    if conf.argument("remote-cert-tls").is_some_and(|kind| kind != "client") {
        findings.push(error(
            "set `remote-cert-tls client`: users have certificates of clients",
        ));
    }
}

fn check_passwords(conf: &Directives, findings: &mut Vec<Finding>) {
    let asks = |line: &[String]| line.first().is_some_and(|path| path.contains("auth"));
    let asks = conf.has("auth-user-pass-verify") || conf.each("plugin").any(asks);
    if asks && !conf.has("auth-user-pass-optional") {
        findings.push(error(
            "remove `auth-user-pass-verify` and plugins that ask for a password: profiles have none, and nobody gets in",
        ));
    }
    for name in [
        "tls-verify",
        "tls-crypt-v2-verify",
        "client-connect",
        "client-crresponse",
    ] {
        if conf.has(name) {
            findings.push(warning(format!(
                "`{name}` may refuse users whom the fleet lets in: the agent cannot see that"
            )));
        }
    }
}

fn check_tunnel(conf: &Directives, findings: &mut Vec<Finding>) {
    let is_server = conf.has("server") || conf.argument("mode").is_some_and(|mode| mode == "server");
    if conf.has("server-bridge")
        || conf
            .argument("dev-type")
            .or(conf.argument("dev"))
            .is_some_and(|dev| dev.starts_with("tap"))
    {
        findings.push(error("set `dev tun` and `server`: profiles have no `dev tap`"));
    } else if !is_server {
        findings.push(error(
            "add `server`, with a network: this is no server for several clients",
        ));
    }
    let ciphers = conf.argument("data-ciphers").or_else(|| conf.argument("ncp-ciphers"));
    let fits = |list: &str| {
        list.split(':').any(|name| {
            // From OpenVPN 2.7 on a list may begin with its own.
            name == "DEFAULT"
                || CIPHERS
                    .iter()
                    .any(|ours| ours.eq_ignore_ascii_case(name.trim_start_matches('?')))
        })
    };
    if ciphers.is_some_and(|list| !fits(list)) {
        findings.push(error(format!(
            "set `data-ciphers {}`: profiles have no other ciphers",
            CIPHERS.join(":")
        )));
    }
}

fn text_of(source: &Source) -> String {
    match source {
        Source::Inline(text) => text.clone(),
        Source::File(path) => read(path),
    }
}

/// What cannot be read holds nothing that fits.
fn read(file: &Path) -> String {
    fs::read(file).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the first certificate of `wanted` is among those of `text`.
fn holds_certificate(text: &str, wanted: &str) -> bool {
    let certificates = |text: &str| -> Vec<Vec<u8>> {
        let found = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok);
        found.map(|pem| pem.contents).collect()
    };
    let present = certificates(text);
    certificates(wanted)
        .first()
        .is_some_and(|wanted| present.contains(wanted))
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}
