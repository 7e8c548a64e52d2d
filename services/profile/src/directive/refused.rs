//! Directives that a pool may not have, and why. What is not named here is refused too: only what `super::ClientDirective` lists is taken.
//!
//! Names are those of options.c of OpenVPN 2.6.

/// Directives, and why none of them is taken.
pub(super) struct Refused {
    pub(super) names: &'static [&'static str],
    pub(super) reason: &'static str,
}

/// Why this directive is not taken, where there is more to say than that it is none of the list.
pub(super) fn reason_against(name: &str) -> Option<(&'static str, &'static str)> {
    REFUSED.iter().find_map(|refused| {
        let known = refused.names.iter().find(|known| **known == name)?;
        Some((*known, refused.reason))
    })
}

pub(super) const REFUSED: &[Refused] = &[
    Refused {
        names: &[
            "auth-user-pass-verify",
            "client-connect",
            "client-crresponse",
            "client-disconnect",
            "dns-updown",
            "down",
            "down-pre",
            "ipchange",
            "iproute",
            "learn-address",
            "plugin",
            "register-dns",
            "route-pre-down",
            "route-up",
            "script-security",
            "service",
            "tls-crypt-v2-verify",
            "tls-verify",
            "up",
            "up-delay",
            "up-restart",
        ],
        reason: "it has programs run on the machines of users",
    },
    Refused {
        names: &[
            "askpass",
            "auth-user-pass",
            "capath",
            "cd",
            "chroot",
            "config",
            "crl-verify",
            "daemon",
            "engine",
            "extra-certs",
            "group",
            "http-proxy-user-pass",
            "log",
            "log-append",
            "management",
            "management-client",
            "pkcs11-providers",
            "pkcs12",
            "providers",
            "replay-persist",
            "secret",
            "status",
            "syslog",
            "tls-export-cert",
            "tmp-dir",
            "user",
            "writepid",
        ],
        reason: "it names files or accounts of the machines of users, which differ from machine to machine",
    },
    Refused {
        names: &[
            "auth",
            "ca",
            "cert",
            "cipher",
            "client",
            "connection",
            "data-ciphers",
            "data-ciphers-fallback",
            "dev",
            "dev-type",
            "explicit-exit-notify",
            "hand-window",
            "key",
            "lport",
            "ncp-ciphers",
            "nobind",
            "peer-fingerprint",
            "persist-key",
            "port",
            "proto",
            "proto-force",
            "pull",
            "remote",
            "remote-cert-eku",
            "remote-cert-ku",
            "remote-cert-tls",
            "remote-random",
            "remote-random-hostname",
            "reneg-sec",
            "resolv-retry",
            "rport",
            "tls-auth",
            "tls-cert-profile",
            "tls-cipher",
            "tls-ciphersuites",
            "tls-client",
            "tls-crypt",
            "tls-crypt-v2",
            "tls-groups",
            "tls-version-max",
            "tls-version-min",
            "verify-x509-name",
        ],
        reason: "profiles say themselves where clients connect, whom they trust and how they encrypt",
    },
    Refused {
        names: &[
            "block-ipv6",
            "dhcp-option",
            "dns",
            "ifconfig",
            "ifconfig-ipv6",
            "route-gateway",
            "route-metric",
            "route-nopull",
            "topology",
        ],
        reason: "what users reach through the tunnel is said by `network` of the pool",
    },
    Refused {
        names: &["redirect-gateway", "redirect-private", "route", "route-ipv6"],
        reason: "what users reach through the tunnel is said by `network` of the pool. With `redirect_gateway` there are no exceptions from it \
                 (`net_gateway`), and clients go on to reach their own local network (no `block-local`)",
    },
    Refused {
        names: &["keepalive", "ping", "ping-exit", "ping-restart"],
        reason: "the servers tell their clients how to notice that they are gone",
    },
    // OpenVPN 2.5 and 2.6 keep the routes with the device while they look for another server. With `redirect_gateway` everything goes into
    // the device then, but for what goes to the server that is gone, which alone has a route around it (OpenVPN/openvpn#282).
    Refused {
        names: &["persist-tun"],
        reason: "clients could not reach the next server",
    },
    Refused {
        names: &["connect-retry-max", "inactive", "single-session"],
        reason: "clients would stop for good, and not come back after an outage",
    },
    Refused {
        names: &["fragment", "link-mtu", "tun-mtu", "tun-mtu-extra"],
        reason: "it must be the same on both ends: use `mssfix`, or `mtu` or `max_segment` of `network`",
    },
    Refused {
        names: &["connect-timeout"],
        reason: "OpenVPN 3 knows it by its other name only: write `server-poll-timeout`",
    },
    Refused {
        names: &["http-proxy", "http-proxy-option"],
        reason: "OpenVPN refuses a profile with it that names a server by UDP: whoever is behind a proxy sets it in the client",
    },
    Refused {
        names: &["socks-proxy"],
        reason: "OpenVPN 3 refuses a profile with it: whoever is behind a proxy sets it in the client",
    },
    Refused {
        names: &["ignore-unknown-option"],
        reason: "there is no need for it: what some clients do not know is written so that they skip it",
    },
    Refused {
        names: &["setenv", "setenv-safe", "push-peer-info"],
        reason: "of variables `setenv opt block-outside-dns` and `setenv opt disable-dco` alone are taken; the name that clients show is \
                 FLEET_NAME of management",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_reason() {
        let mut names: Vec<&str> = REFUSED.iter().flat_map(|refused| refused.names).copied().collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
