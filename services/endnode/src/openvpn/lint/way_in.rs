//! Whether anybody gets in at all: the profiles of users are made for such a server, behind this port.

use vpnmanager_nats::commands::Protocol;
use vpnmanager_openvpn_conf::{Directives, Listener, is_same_place, protocol_of};

use super::{
    expected::Expected,
    finding::{Finding, error, warning},
};
use crate::openvpn::{addresses6, vpn_network::VpnNetwork6};

/// Ciphers of the profiles.
const CIPHERS: [&str; 2] = ["AES-256-GCM", "CHACHA20-POLY1305"];

pub(super) fn check_way_in(conf: &Directives, expected: &Expected, findings: &mut Vec<Finding>) {
    check_endpoint(conf, expected, findings);
    check_names(conf, expected, findings);
    check_passwords(conf, findings);
    check_tunnel(conf, findings);
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

/// Parts of the names of plugins that ask for a password: openvpn-plugin-auth-pam, openvpn-auth-ldap, radiusplugin, openvpn-otp,
/// duo_openvpn, defer-okta.
const ASKING_PLUGINS: [&str; 6] = ["auth", "ldap", "radiusplugin", "openvpn-otp", "duo_openvpn", "okta"];
/// A plugin of OpenVPN itself that asks for nothing.
const QUIET_PLUGIN: &str = "down-root";

fn check_passwords(conf: &Directives, findings: &mut Vec<Finding>) {
    if conf.has("auth-user-pass-verify") {
        findings.push(asks_for_password(conf, "`auth-user-pass-verify`"));
    }
    for path in conf.each("plugin").filter_map(<[String]>::first) {
        let file = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        if ASKING_PLUGINS.iter().any(|part| file.contains(part)) {
            findings.push(asks_for_password(conf, &format!("`plugin {path}`")));
        } else if !file.contains(QUIET_PLUGIN) {
            findings.push(warning(format!(
                "remove `plugin {path}` if it asks for a password: profiles have none, and nobody would get in"
            )));
        }
    }
    check_scripts(conf, findings);
}

/// `auth-user-pass-optional` lets a client come without a password; OpenVPN still asks with an empty name (`verify_user_pass` of its
/// ssl_verify.c).
fn asks_for_password(conf: &Directives, what: &str) -> Finding {
    if conf.has("auth-user-pass-optional") {
        warning(format!(
            "remove {what}: in spite of `auth-user-pass-optional` it is asked about each client, with an empty name, and nobody gets in unless it accepts that"
        ))
    } else {
        error(format!(
            "remove {what}: scripts and plugins like it ask for a password, profiles have none, and nobody gets in"
        ))
    }
}

fn check_scripts(conf: &Directives, findings: &mut Vec<Finding>) {
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
    if conf.has("server-bridge")
        || conf
            .argument("dev-type")
            .or(conf.argument("dev"))
            .is_some_and(|dev| dev.starts_with("tap"))
    {
        findings.push(error("set `dev tun` and `server`: profiles have no `dev tap`"));
    } else if !is_server(conf) {
        findings.push(error(
            "add `server` or `server-ipv6`, with a network: this is no server for several clients",
        ));
    }
    if let Some(network) = conf.argument("server-ipv6").filter(|_| has_nopool(conf)) {
        findings.push(error(format!(
            "take {} in place of `server-ipv6 {network}`: OpenVPN does not start with it beside `nopool` of `server`",
            lines_beside_nopool(network)
        )));
    }
    if !conf.has("dev") {
        findings.push(error("add `dev tun`: OpenVPN needs a device to start"));
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

/// Each of the three makes a server for several clients (`helper_client_server` of OpenVPN's helper.c). Nothing of ours needs an IPv4
/// network inside the tunnel: the allow-list goes by names, and sessions are ended by their numbers.
fn is_server(conf: &Directives) -> bool {
    conf.has("server") || conf.has("server-ipv6") || conf.argument("mode") == Some("server")
}

/// A network for lines that an operator may add.
pub(super) const EXAMPLE6: &str = "fd12:3456:789a::/64";

/// `server network netmask nopool`: OpenVPN gives out no addresses but those of `ifconfig-pool`, and takes no `server-ipv6`.
pub(super) fn has_nopool(conf: &Directives) -> bool {
    conf.arguments("server").get(2).is_some_and(|word| word == "nopool")
}

/// What stands for `server-ipv6` there. Of a network that is none, for that of the example.
pub(super) fn lines_beside_nopool(network: &str) -> String {
    let network = network.parse::<VpnNetwork6>().or_else(|_| EXAMPLE6.parse());
    let lines = network.into_iter().flat_map(addresses6::lines);
    let lines: Vec<String> = lines.map(|line| format!("`{line}`")).collect();
    lines.join(" and ")
}

/// Whether clients get an IPv6 address in the tunnel. `server-ipv6` stands for the other one too.
pub(super) fn has_ipv6(conf: &Directives) -> bool {
    conf.has("server-ipv6") || conf.has("ifconfig-ipv6-pool")
}
