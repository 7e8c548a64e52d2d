use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::*;
use crate::openvpn::lint::{Release, Severity};

mod command_line;
mod keys;
mod network;
mod real_life;
mod releases;

const GOOD: &str = "
    # the operator's own
    port 1194
    proto udp
    multihome
    dev tun
    server 10.8.0.0 255.255.255.0
    ca ca.crt
    cert node.crt   # written by the agent
    key node.key
    tls-crypt-v2 v2.key
    client-config-dir allow   # relative to this file
    ccd-exclusive
    management \"my vpn/m.sock\" unix
    keepalive 1 7
    explicit-exit-notify 2
    reneg-sec 600
    tran-window 60
    hand-window 20
    verb 1
    mute 20
    <dh>
    duplicate-cn
    </dh>
";

/// A folder with the files that the agent wrote, and an operator's configuration.
struct Place {
    dir: tempfile::TempDir,
    expected: Expected,
}

fn certificate(name: &str) -> String {
    certificate_for(name, &rcgen::KeyPair::generate().expect("a key"))
}

fn certificate_for(name: &str, key: &rcgen::KeyPair) -> String {
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.self_signed(key).expect("a certificate").pem()
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        let key = rcgen::KeyPair::generate().expect("a key");
        for (name, text) in [
            ("ca.crt", certificate("ca")),
            ("node.crt", certificate_for("node", &key)),
            ("node.key", key.serialize_pem()),
            ("v2.key", "-----BEGIN x-----\nabc=\n".to_owned()),
        ] {
            fs::write(at(name), text).expect("written");
        }
        for folder in ["allow", "my vpn", "other"] {
            fs::create_dir(at(folder)).expect("made");
        }
        fs::write(at("other/ca.crt"), certificate("other")).expect("written");
        let expected = Expected {
            control_socket: at("my vpn/m.sock"),
            ..Expected::in_folder(dir.path())
        };
        Self { dir, expected }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn findings(&self, text: &str) -> Vec<Finding> {
        self.findings_of("", text)
    }

    /// What is found for an OpenVPN of this release, where it is one.
    fn findings_of(&self, release: &str, text: &str) -> Vec<Finding> {
        let file = self.path("server.conf");
        fs::write(&file, text).expect("written");
        let running = Running {
            release: Release::parse(release),
            ..Running::default()
        };
        lint(&file, &self.expected, &running).findings
    }

    /// What is found in the good file with these lines added.
    fn with(&self, lines: &str) -> Vec<Finding> {
        self.findings(&format!("{GOOD}\n{lines}\n"))
    }

    fn without(&self, directive: &str) -> Vec<Finding> {
        let is_kept = |line: &&str| line.split_whitespace().next() != Some(directive);
        let text: String = GOOD.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
        self.findings(&text)
    }
}

#[test]
fn nothing_is_said_about_a_good_file_however_it_is_written() {
    let place = Place::new();
    assert_eq!(place.findings(GOOD), []);
    assert_eq!(place.findings(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n"))), []);
    let ca = fs::read_to_string(place.path("ca.crt")).expect("read");
    assert_eq!(
        place.findings(&GOOD.replace("ca ca.crt", &format!("<ca>\n{ca}</ca>"))),
        []
    );
    fs::write(place.path("more.conf"), GOOD).expect("written");
    assert_eq!(place.findings("config more.conf"), []);
    std::os::unix::fs::symlink(place.path("allow"), place.path("link")).expect("linked");
    assert_eq!(
        place.with("client-config-dir link"),
        [],
        "the same folder by another name"
    );
    assert_eq!(
        place.with("max-clients 1000\nmax-clients 3000"),
        [],
        "as the agent writes it"
    );
    assert_eq!(
        place.with(
            "proto udp6\nchroot /\nx509-username-field cn\nsetenv-safe chroot /x\npush \"route 10.0.0.0 255.0.0.0\""
        ),
        []
    );
}

#[test]
fn the_example_for_operators_lacks_nothing_but_the_files_of_a_node() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/server.conf");
    let place = Place::new();
    let (dir, folder) = ("/var/lib/vpnmanager/endnode", place.path("my vpn"));
    let text = fs::read_to_string(example).expect("read");
    let text = text.replace(&format!("{dir}/openvpn/tls-crypt-v2.key"), "v2.key");
    let text = text
        .replace(&format!("{dir}/openvpn/"), "")
        .replace(&format!("{dir}/allow"), "allow");
    let text = text.replace(
        "/run/vpnmanager/node-1.sock",
        &format!("\"{}/m.sock\"", folder.display()),
    );
    assert_eq!(place.findings(&text), []);
}

#[test]
fn each_needed_directive_is_missed() {
    let place = Place::new();
    let cases = [
        ("ccd-exclusive", "add `ccd-exclusive`"),
        ("client-config-dir", "add `client-config-dir "),
        ("management", "set `management "),
        ("dev", "add `dev tun`"),
        ("server", "add `server` or `server-ipv6`"),
        ("key", "set `key "),
        ("ca", "set `ca "),
        ("cert", "set `cert "),
        ("tls-crypt-v2", "set `tls-crypt-v2 "),
        ("mute", "set `verb 1` and `mute 20`"),
        ("multihome", "add `multihome`"),
        ("keepalive", "set `keepalive 1 7`"),
        ("explicit-exit-notify", "set `explicit-exit-notify 2`"),
        ("tran-window", "set `reneg-sec 600` and `tran-window 60`"),
        ("hand-window", "set `hand-window 20`"),
    ];
    for (directive, expected) in cases {
        let found = place.without(directive);
        assert_eq!(found.len(), 1, "without {directive}: {found:?}");
        assert!(found[0].message.starts_with(expected), "{found:?}");
    }
}

#[test]
fn what_keeps_everybody_out_or_lets_anybody_in_is_an_error() {
    let place = Place::new();
    for lines in [
        "duplicate-cn",
        "--duplicate-cn",
        "setenv opt duplicate-cn",
        "management-client-auth",
        "management-hold",
        "username-as-common-name",
        "verify-client-cert none",
        "client-config-dir /elsewhere",
        "management 127.0.0.1 7505",
        "chroot other",
        "x509-username-field ext:subjectAltName",
        "ca other/ca.crt",
        "ca none.crt",
        "cert other/ca.crt",
        "key none.key",
        "key ca.crt",
        "<key>\n</key>",
        "proto tcp",
        "local 127.0.0.1",
        "remote-cert-tls server",
        "verify-x509-name alice name",
        "<peer-fingerprint>\n00:11\n</peer-fingerprint>",
        "auth-user-pass-verify /bin/true via-env",
        "plugin /usr/lib/openvpn/openvpn-plugin-auth-pam.so login",
        "plugin /usr/lib/openvpn/openvpn-auth-ldap.so /etc/openvpn/auth/ldap.conf",
        "plugin /etc/openvpn/radiusplugin.so /etc/openvpn/radiusplugin.cnf",
        "plugin /usr/lib/openvpn/openvpn-otp.so",
        "plugin /opt/duo/duo_openvpn.so ikey skey host",
        "dev tap0",
        "server-bridge",
        "data-ciphers AES-128-CBC",
        "data-ciphers AES-128-CBC:?CAMELLIA-256-CBC",
        "config none.conf",
        "ca c:\\ca.crt",
        "comp-lzo",
        "comp-lzo no",
        "compress",
        "compress lz4-v2",
        "push \"compress stub-v2\"",
        "push 'comp-lzo no'",
        "push \"compress lz4\"",
        "fragment 1300",
        "ncp-disable",
        "keysize 256",
        "ccd-exclusive yes",
        "verb 1 2",
        "local 192.0.2.1 1194 tcp-server",
        "local 127.0.0.1 1194 udp\nlocal ::1",
        "management \"my vpn/m.sock\" unix password.txt",
        "management-client-user nobody",
        "management-client-group nogroup",
        "server 10.8.0.0 255.255.255.0 nopool\nserver-ipv6 fd00:8::/64",
        "server 10.8.0.0 255.255.255.0 nopool\nserver-ipv6 none",
    ] {
        let found = place.with(lines);
        let errors = found
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count();
        assert_eq!(errors, 1, "with {lines}: {found:?}");
    }
    for (without, lines) in [
        ("tls-crypt-v2 v2.key", "tls-auth v2.key 0"),
        ("tls-crypt-v2 v2.key", "tls-crypt v2.key"),
    ] {
        let found = place.findings(&GOOD.replace(without, lines));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.contains("is no substitute"), "{found:?}");
    }
    fs::remove_dir(place.path("my vpn")).expect("removed");
    let found = place.findings(GOOD);
    assert!(found[0].message.starts_with("make the folder "), "{found:?}");
}

#[test]
fn what_only_slows_or_may_be_meant_is_a_warning() {
    let place = Place::new();
    for line in [
        "crl-verify crl.pem",
        "verb 4",
        "explicit-exit-notify 1",
        "keepalive 10 60",
        "hand-window 60",
        "port 443",
        "lport 443",
        "client-connect /bin/true",
        "plugin /opt/authority/counter.so",
        "auth-user-pass-verify /bin/true via-env\nauth-user-pass-optional",
        "plugin /usr/lib/openvpn/openvpn-plugin-auth-pam.so login\nauth-user-pass-optional",
        "tun-mtu 1400",
        "no-replay",
        "comp-lzo no\npush \"comp-lzo no\"",
        "local 192.0.2.1 443 udp",
        "user nobody-of-this-machine",
    ] {
        let found = place.with(line);
        assert_eq!(found.len(), 1, "with {line}: {found:?}");
        assert_eq!(found[0].severity, Severity::Warning, "{found:?}");
    }
}

#[test]
fn what_other_releases_and_other_sides_take_is_not_spoken_of() {
    let place = Place::new();
    for lines in [
        "data-ciphers DEFAULT",
        "data-ciphers DEFAULT:AES-256-CBC",
        "data-ciphers ?AES-256-GCM",
        "cipher AES-256-CBC",
        "compress migrate",
        "tun-mtu 1400\npush \"tun-mtu 1400\"",
        "fragment 0",
        "plugin /usr/lib/openvpn/openvpn-plugin-down-root.so /bin/true",
        "mssfix 1300",
        "setenv opt ncp-disable",
        "ignore-unknown-option keysize ncp-disable\nkeysize 256\nncp-disable",
        "local 192.0.2.1 1194 udp\nlocal 127.0.0.1 443 tcp-server",
        "local 192.0.2.1 443 tcp-server\nlocal 192.0.2.1",
        "management-client-user root\nmanagement-client-group root",
    ] {
        if lines.contains("root") && !rustix::process::geteuid().is_root() {
            continue;
        }
        assert_eq!(place.with(lines), [], "with {lines}");
    }
}

#[test]
fn an_allow_list_that_openvpns_account_cannot_search_is_an_error_with_what_mends_it() {
    let place = Place::new();
    let mode = |bits| fs::set_permissions(place.dir.path(), fs::Permissions::from_mode(bits)).expect("chmod");
    mode(0o711);
    assert_eq!(place.with("user nobody\ngroup nogroup"), []);
    mode(0o700);
    assert_eq!(place.with(""), [], "root may search it");
    // Without `group` OpenVPN keeps the group of root, whose folder it is in a test.
    for (lines, class) in [("user nobody\ngroup nogroup", 'o'), ("user nobody", 'g')] {
        if class == 'g' && !rustix::process::getegid().is_root() {
            continue;
        }
        let found = place.with(lines);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, Severity::Error);
        let mends = format!("`chmod {class}+x {}`", place.dir.path().display());
        assert!(found[0].message.contains(&mends), "{found:?}");
    }
}

#[test]
fn a_server_whose_profiles_name_an_ipv6_address_listens_there() {
    let mut place = Place::new();
    place.expected.ipv6 = true;
    assert_eq!(place.findings(GOOD).len(), 1);
    assert_eq!(place.with("proto udp6"), []);
}

#[test]
fn a_network_of_either_family_makes_a_server() {
    let place = Place::new();
    let server = "server 10.8.0.0 255.255.255.0";
    for lines in [
        "server-ipv6 fd00:8::/64",
        "server 10.8.0.0 255.255.255.0\nserver-ipv6 fd00:8::/64",
        "mode server\ntls-server",
    ] {
        assert_eq!(place.findings(&GOOD.replace(server, lines)), [], "with {lines}");
    }
    assert_eq!(place.findings(&GOOD.replace(server, "mode p2p")).len(), 1);
}
