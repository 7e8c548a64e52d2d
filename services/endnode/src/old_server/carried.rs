//! Which lines of an old `server.conf` the agent carries over, word for word.

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is carried over as it stands.
    Carried,
    /// It names a file, or has its content: it is carried over with the path in full.
    File,
    /// The agent says it instead, or it is about the agent's own affairs, such as the log.
    Ours,
    /// It is left out, and that is said.
    LeftOut,
}

/// What clients of the old server, and what it tells them, depend on.
const CARRIED: [&str; 75] = [
    "allow-compression",
    "auth",
    "bcast-buffers",
    "bind-dev",
    "cipher",
    "client-to-client",
    "comp-lzo",
    "compress",
    "connect-freq",
    "connect-freq-initial",
    "data-ciphers",
    "data-ciphers-fallback",
    "dev",
    "dev-type",
    "duplicate-cn",
    "ecdh-curve",
    "explicit-exit-notify",
    "fast-io",
    "float",
    "fragment",
    "hash-size",
    "ifconfig",
    "ifconfig-ipv6",
    "ifconfig-ipv6-pool",
    "ifconfig-pool",
    "keepalive",
    "key-direction",
    "link-mtu",
    "local",
    "max-routes-per-client",
    "mode",
    "mssfix",
    "multihome",
    "mute-replay-warnings",
    "ncp-ciphers",
    "ns-cert-type",
    "passtos",
    "ping",
    "ping-restart",
    "ping-timer-rem",
    "port-share",
    "providers",
    "push",
    "rcvbuf",
    "remote-cert-eku",
    "remote-cert-ku",
    "remote-cert-tls",
    "reneg-bytes",
    "reneg-pkts",
    "replay-window",
    "route",
    "route-gateway",
    "route-ipv6",
    "route-metric",
    "server",
    "server-ipv6",
    "sndbuf",
    "socket-flags",
    "stale-routes-check",
    "tcp-nodelay",
    "tcp-queue-limit",
    "tls-cert-profile",
    "tls-cipher",
    "tls-ciphersuites",
    "tls-groups",
    "tls-server",
    "tls-timeout",
    "tls-version-max",
    "tls-version-min",
    "topology",
    "tun-mtu",
    "tun-mtu-extra",
    "txqueuelen",
    "verify-hash",
    "verify-x509-name",
];

/// Those that name a file, in the order in which they are written.
pub(super) const FILES: [&str; 11] = [
    "ca",
    "capath",
    "cert",
    "key",
    "pkcs12",
    "extra-certs",
    "dh",
    "tls-auth",
    "tls-crypt",
    "tls-crypt-v2",
    "ifconfig-pool-persist",
];

const OURS: [&str; 37] = [
    "ccd-exclusive",
    "client-config-dir",
    "crl-verify",
    "daemon",
    "disable-dco",
    "errors-to-stderr",
    "group",
    "hand-window",
    "ignore-unknown-option",
    "log",
    "log-append",
    "lport",
    "machine-readable-output",
    "management",
    "management-client-group",
    "management-client-user",
    "management-log-cache",
    "max-clients",
    "mute",
    "nobind",
    "persist-key",
    "persist-remote-ip",
    "persist-tun",
    "port",
    "proto",
    "proto-force",
    "reneg-sec",
    "resolv-retry",
    "script-security",
    "status",
    "status-version",
    "suppress-timestamps",
    "syslog",
    "tran-window",
    "user",
    "verb",
    "writepid",
];

/// What becomes of the option of this name.
pub(super) fn fate_of(name: &str) -> Fate {
    match () {
        () if CARRIED.contains(&name) => Fate::Carried,
        () if FILES.contains(&name) => Fate::File,
        () if OURS.contains(&name) => Fate::Ours,
        () => Fate::LeftOut,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_option_has_one_fate() {
        let all = CARRIED.iter().chain(&FILES).chain(&OURS);
        let different: BTreeSet<&str> = all.clone().copied().collect();
        assert_eq!(different.len(), all.count());
        for (name, fate) in [
            ("push", Fate::Carried),
            ("ca", Fate::File),
            ("verb", Fate::Ours),
            ("up", Fate::LeftOut),
            ("plugin", Fate::LeftOut),
            ("script-security", Fate::Ours),
        ] {
            assert_eq!(fate_of(name), fate, "{name}");
        }
    }
}
