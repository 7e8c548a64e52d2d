//! Configurations as people publish them.

use super::*;

/// What servers in public repositories and issue threads combine, each with what keeps our users out of it.
#[test]
fn servers_of_real_life_are_told_what_to_change() {
    let place = Place::new();
    let cases: [(&str, &[&str]); 10] = [
        // A server behind a relay on the same machine.
        (
            "local 127.0.0.1\nproto tcp\nserver 100.128.0.0 255.255.0.0\nccd-exclusive\nsyslog\ncrl-verify crl.pem",
            &["proto udp", "local 127.0.0.1"],
        ),
        // A web interface's template: the socket is open to the network.
        (
            "management 0.0.0.0 2080\nport 1194\nproto udp\ndev tun\nserver 10.8.0.0 255.255.255.0\ncomp-lzo\nncp-ciphers AES-256-GCM:AES-192-GCM",
            &["management", "ccd-exclusive"],
        ),
        (
            "dev tap0\nserver-bridge 10.0.0.1 255.255.255.0 10.0.0.50 10.0.0.100\nkeysize 256",
            &["dev tun"],
        ),
        // A comment behind a key, and commented options with a semicolon.
        (
            "key server/server.key  # keep it secret\n;client-config-dir ccd\ntls-auth server/ta.key 0 # secret\nserver 10.8.0.0 255.255.255.0",
            &["client-config-dir", "`tls-auth` is no substitute"],
        ),
        (
            "verify-client-cert none\nusername-as-common-name\nauth-user-pass-verify /etc/openvpn/auth.sh via-file\nscript-security 3\nserver 10.8.0.0 255.255.255.0",
            &[
                "verify-client-cert require",
                "auth-user-pass-verify",
                "username-as-common-name",
            ],
        ),
        (
            "plugin /usr/lib64/openvpn/plugins/openvpn-plugin-auth-pam.so openvpn\nserver 10.8.0.0 255.255.255.0",
            &["ask for a password"],
        ),
        // An installer: unknown options of later releases are forgiven.
        (
            "ignore-unknown-option data-ciphers\ndata-ciphers AES-128-GCM\nclient-config-dir ccd\nmanagement /var/run/openvpn/server.sock unix\nserver 10.8.0.0 255.255.255.0",
            &["data-ciphers", "management", "client-config-dir"],
        ),
        (
            "<peer-fingerprint>\n00:11:22\n</peer-fingerprint>\nserver 10.8.0.0 255.255.255.0\ndh none",
            &["peer-fingerprint", "`ca "],
        ),
        // Keys in the file itself, with blanks before the end.
        (
            "--server 10.8.0.0 255.255.255.0\n<tls-auth>\n#\n# 2048 bit\n  </tls-auth>\nkey-direction 0\nchroot /var/lib/openvpn/jail\nclient-config-dir ccd",
            &["chroot", "`tls-auth` is no substitute"],
        ),
        (
            "cd keys\r\nmode server\r\ntls-server\r\nca \"my ca.crt\"\r\nx509-username-field emailAddress\r\nduplicate-cn\r\n",
            &["x509-username-field", "duplicate-cn", "`ca "],
        ),
    ];
    for (text, expected) in cases {
        let found = place.findings(text);
        let errors: Vec<_> = found
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .collect();
        for part in expected {
            assert!(
                errors.iter().any(|error| error.message.contains(part)),
                "{part} in {text:?}: {found:#?}"
            );
        }
        assert!(
            !found
                .iter()
                .any(|finding| finding.message.contains("does not start with")),
            "{text:?}: {found:#?}"
        );
    }
}
