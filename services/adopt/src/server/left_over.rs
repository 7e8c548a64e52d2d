//! What a server does that VPN Manager does otherwise, or not at all.

use vpnmanager_openvpn_conf::{Directive, words};

use super::conf::ServerConf;
use crate::found::{Place, Remark};

/// Options that are carried over, that every server has in its own way, and that clients do not notice.
const QUIET: [&str; 71] = [
    "auth",
    "auth-nocache",
    "bind",
    "ca",
    "ccd-exclusive",
    "cd",
    "cert",
    "cipher",
    "client-config-dir",
    "client-to-client",
    "connect-freq",
    "connect-freq-initial",
    "crl-verify",
    "daemon",
    "data-ciphers",
    "data-ciphers-fallback",
    "dh",
    "disable-dco",
    "duplicate-cn",
    "ecdh-curve",
    "explicit-exit-notify",
    "extra-certs",
    "fast-io",
    "float",
    "group",
    "hand-window",
    "ifconfig-pool-persist",
    "ignore-unknown-option",
    "keepalive",
    "key",
    "key-direction",
    "local",
    "log",
    "log-append",
    "lport",
    "management",
    "mode",
    "multihome",
    "mute",
    "mute-replay-warnings",
    "ncp-ciphers",
    "nice",
    "opt-verify",
    "persist-key",
    "persist-tun",
    "ping",
    "ping-restart",
    "ping-timer-rem",
    "port",
    "proto",
    "remote-cert-eku",
    "remote-cert-tls",
    "reneg-sec",
    "server",
    "server-ipv6",
    "status",
    "status-version",
    "syslog",
    "tls-auth",
    "tls-cert-profile",
    "tls-cipher",
    "tls-ciphersuites",
    "tls-crypt",
    "tls-crypt-v2",
    "tls-groups",
    "tls-server",
    "tls-version-min",
    "topology",
    "user",
    "verb",
    "writepid",
];
const PROGRAM: &str = "it runs a program, and VPN Manager runs none";
const PASSWORD: &str = "it asks for passwords, and users of VPN Manager have none";
const BRIDGE: &str = "it bridges networks, and VPN Manager routes";
/// Why others are not carried over. Without a line here the option is named alone.
const REASONS: [(&str, &str); 26] = [
    ("auth-gen-token", PASSWORD),
    ("auth-user-pass-optional", PASSWORD),
    ("auth-user-pass-verify", PASSWORD),
    ("client-connect", PROGRAM),
    ("client-crresponse", PROGRAM),
    ("client-disconnect", PROGRAM),
    ("down", PROGRAM),
    ("ipchange", PROGRAM),
    ("learn-address", PROGRAM),
    ("plugin", PROGRAM),
    ("route-pre-down", PROGRAM),
    ("route-up", PROGRAM),
    ("script-security", "it is about programs, and VPN Manager runs none"),
    ("tls-crypt-v2-verify", PROGRAM),
    ("tls-verify", PROGRAM),
    ("up", PROGRAM),
    ("ifconfig-push-constraint", BRIDGE),
    ("server-bridge", BRIDGE),
    ("comp-lzo", "new profiles compress nothing"),
    ("compress", "new profiles compress nothing"),
    ("fragment", "both sides need it, and new profiles do not have it"),
    (
        "peer-fingerprint",
        "without an authority there are no old certificates that could be let in: users get new profiles",
    ),
    (
        "username-as-common-name",
        "users are called by the names that they type, and old certificates are told by theirs",
    ),
    (
        "verify-client-cert",
        "who comes without a certificate is not found in the source",
    ),
    (
        "client-cert-not-required",
        "who comes without a certificate is not found in the source",
    ),
    (
        "x509-username-field",
        "old certificates are told by their common names, and this server goes by another field",
    ),
];
/// What is pushed and carried over, or is of no meaning to new profiles.
const QUIET_PUSHES: [&str; 16] = [
    "block-ipv6",
    "cipher",
    "comp-lzo",
    "compress",
    "dns",
    "explicit-exit-notify",
    "ifconfig-ipv6",
    "persist-key",
    "persist-tun",
    "ping",
    "ping-restart",
    "redirect-gateway",
    "route",
    "route-ipv6",
    "topology",
    "tun-ipv6",
];
/// Of `dhcp-option`.
const QUIET_KINDS: [&str; 5] = ["DNS", "DNS6", "DOMAIN", "DOMAIN-SEARCH", "ADAPTER_DOMAIN_SUFFIX"];

/// What follows an option may be a secret, so it is named alone. What is pushed is told to every client.
pub(crate) fn note_left_over(conf: &ServerConf, remarks: &mut Vec<Remark>) {
    let refusals = conf.directives.refusals.iter();
    remarks.extend(refusals.map(|reason| conf.remark(format!("OpenVPN does not start with this file: {reason}"))));
    for directive in conf.directives.all() {
        if let Some(text) = reason(directive) {
            let origin = directive.origin.as_ref();
            let place = origin.map(|origin| Place::line(&origin.file, origin.line as u64));
            remarks.push(place.unwrap_or_else(|| Place::file(&conf.file)).remark(text));
        }
    }
}

fn reason(directive: &Directive) -> Option<String> {
    let name = directive.name();
    let value = directive.words.get(1).map_or("", String::as_str);
    let is_harmless = match name {
        "dev" | "dev-type" => !value.starts_with("tap"),
        "verify-client-cert" => value == "require",
        "x509-username-field" => value.eq_ignore_ascii_case("CN"),
        "push" => return reason_of_push(value),
        _ => QUIET.contains(&name),
    };
    if is_harmless {
        return None;
    }
    if matches!(name, "dev" | "dev-type") {
        return Some(format!("`{name} {value}` is not carried over: {BRIDGE}"));
    }
    let why = REASONS.iter().find(|(known, _)| *known == name);
    Some(match why {
        Some((_, why)) => format!("`{name}` is not carried over: {why}"),
        None => format!("`{name}` is not carried over"),
    })
}

fn reason_of_push(pushed: &str) -> Option<String> {
    let read = words(pushed).unwrap_or_default();
    let is_quiet = match read.as_slice() {
        [option, kind, ..] if option == "dhcp-option" => QUIET_KINDS.contains(&kind.as_str()),
        [option, ..] => QUIET_PUSHES.contains(&option.as_str()),
        [] => false,
    };
    (!is_quiet).then(|| format!("`push \"{pushed}\"` is not carried over"))
}
