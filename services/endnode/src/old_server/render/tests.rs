//! Configurations of real life: what install scripts, images, panels and handbooks leave. Facts of them, in our words.

use std::fs;

use vpnmanager_openvpn_conf::Directives;

use super::*;

/// A configuration, and what becomes of it.
struct Case {
    /// Whose it is.
    of: &'static str,
    /// What it says.
    text: &'static str,
    /// Lines of what is made of it; `DIR` is its folder.
    has: &'static [&'static str],
    /// Options that are left out.
    left_out: &'static [&'static str],
}

const CASES: [Case; 12] = [
    Case {
        of: "the sample of OpenVPN 2.4, as distributions have it",
        text: "port 1194\nproto udp\ndev tun\nca ca.crt\ncert server.crt\nkey server.key  # This file should be kept secret\n\
               dh dh2048.pem\nserver 10.8.0.0 255.255.255.0\nifconfig-pool-persist ipp.txt\nkeepalive 10 120\n\
               tls-auth ta.key 0 # This file is secret\ncipher AES-256-CBC\npersist-key\npersist-tun\n\
               status openvpn-status.log\nverb 3\nexplicit-exit-notify 1\n",
        has: &[
            "port 1194",
            "proto udp6",
            "multihome",
            "dev tun",
            "server 10.8.0.0 255.255.255.0",
            "keepalive 10 120",
            "cipher AES-256-CBC",
            "explicit-exit-notify 1",
            "ca DIR/ca.crt",
            "key DIR/server.key",
            "dh DIR/dh2048.pem",
            "tls-auth DIR/ta.key 0",
            "ifconfig-pool-persist DIR/ipp.txt",
        ],
        left_out: &[],
    },
    Case {
        of: "angristan's script",
        text: "port 1194\nproto udp\ndev tun\nuser nobody\ngroup nogroup\npersist-key\npersist-tun\nkeepalive 10 120\n\
               topology subnet\nserver 10.8.0.0 255.255.255.0\nifconfig-pool-persist ipp.txt\n\
               push \"dhcp-option DNS 94.140.14.14\"\npush \"redirect-gateway def1 bypass-dhcp\"\ndh none\n\
               ecdh-curve prime256v1\ntls-crypt tls-crypt.key\ncrl-verify crl.pem\nca ca.crt\ncert server_x.crt\n\
               key server_x.key\nauth SHA256\ncipher AES-128-GCM\nncp-ciphers AES-128-GCM\ntls-server\n\
               tls-version-min 1.2\ntls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256\nclient-config-dir /etc/openvpn/ccd\n\
               status /var/log/openvpn/status.log\nverb 3\n",
        has: &[
            "topology subnet",
            "push \"dhcp-option DNS 94.140.14.14\"",
            "push \"redirect-gateway def1 bypass-dhcp\"",
            "dh none",
            "ecdh-curve prime256v1",
            "tls-crypt DIR/tls-crypt.key",
            "data-ciphers AES-128-GCM",
            "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
        ],
        left_out: &[],
    },
    Case {
        of: "Nyr's script",
        text: "local 203.0.113.7\nport 1194\nproto udp\ndev tun\nca ca.crt\ncert server.crt\nkey server.key\ndh dh.pem\n\
               auth SHA512\ntls-crypt tc.key\ntopology subnet\nserver 10.8.0.0 255.255.255.0\n\
               server-ipv6 fddd:1194:1194:1194::/64\npush \"redirect-gateway def1 ipv6 bypass-dhcp\"\n\
               ifconfig-pool-persist ipp.txt\npush \"dhcp-option DNS 1.1.1.1\"\npush \"block-outside-dns\"\n\
               keepalive 10 120\nuser nobody\ngroup nogroup\npersist-key\npersist-tun\nverb 3\ncrl-verify crl.pem\n\
               explicit-exit-notify\n",
        has: &[
            "local 203.0.113.7",
            "proto udp",
            "auth SHA512",
            "server-ipv6 fddd:1194:1194:1194::/64",
            "push block-outside-dns",
            "explicit-exit-notify",
        ],
        left_out: &[],
    },
    Case {
        of: "pivpn",
        text: "dev tun\nproto udp\nport 1194\nca /etc/openvpn/easy-rsa/pki/ca.crt\n\
               cert /etc/openvpn/easy-rsa/pki/issued/raspberrypi.crt\nkey /etc/openvpn/easy-rsa/pki/private/raspberrypi.key\n\
               dh none\necdh-curve prime256v1\ntopology subnet\nserver 10.23.146.0 255.255.255.0\n\
               # Set your primary domain name server address for clients\npush \"dhcp-option DNS 9.9.9.9\"\n\
               push \"block-outside-dns\"\npush \"redirect-gateway def1\"\nclient-to-client\n\
               client-config-dir /etc/openvpn/ccd\nkeepalive 15 120\nremote-cert-tls client\ntls-version-min 1.2\n\
               tls-crypt /etc/openvpn/easy-rsa/pki/ta.key\ncipher AES-256-CBC\nauth SHA256\nuser openvpn\ngroup openvpn\n\
               persist-key\npersist-tun\ncrl-verify /etc/openvpn/crl.pem\nstatus /var/log/openvpn-status.log 20\n\
               status-version 3\nsyslog\nverb 3\n#DuplicateCNs allow access control on a less-granular, per user basis.\n",
        has: &[
            "client-to-client",
            "remote-cert-tls client",
            "keepalive 15 120",
            "tls-crypt /etc/openvpn/easy-rsa/pki/ta.key",
            "user nobody",
        ],
        left_out: &[],
    },
    Case {
        of: "a widespread container image",
        text: "server 192.168.255.0 255.255.255.0\nverb 3\nkey /etc/openvpn/pki/private/vpn.example.com.key\n\
               ca /etc/openvpn/pki/ca.crt\ncert /etc/openvpn/pki/issued/vpn.example.com.crt\ndh /etc/openvpn/pki/dh.pem\n\
               tls-auth /etc/openvpn/pki/ta.key\nkey-direction 0\nkeepalive 10 60\npersist-key\npersist-tun\n\nproto udp\n\
               # Rely on Docker to do port mapping, internally always 1194\nport 1194\ndev tun0\n\
               status /tmp/openvpn-status.log\n\nuser nobody\ngroup nogroup\ncomp-lzo no\n\n### Route Configurations Below\n\
               route 192.168.254.0 255.255.255.0\n\n### Push Configurations Below\npush \"block-outside-dns\"\n\
               push \"dhcp-option DNS 8.8.8.8\"\npush \"comp-lzo no\"\n",
        has: &[
            "dev tun0",
            "tls-auth /etc/openvpn/pki/ta.key",
            "key-direction 0",
            "comp-lzo no",
            "push \"comp-lzo no\"",
            "route 192.168.254.0 255.255.255.0",
        ],
        left_out: &[],
    },
    Case {
        of: "an admin panel with a chart of its own",
        text: "verb 3\ntls-server\nca /etc/openvpn/easyrsa/pki/ca.crt\nkey /etc/openvpn/easyrsa/pki/private/server.key\n\
               cert /etc/openvpn/easyrsa/pki/issued/server.crt\ndh /etc/openvpn/easyrsa/pki/dh.pem\n\
               crl-verify /etc/openvpn/easyrsa/pki/crl.pem\ntls-auth /etc/openvpn/easyrsa/pki/ta.key\nkey-direction 0\n\
               cipher AES-128-CBC\nmanagement 127.0.0.1 8989\nkeepalive 10 60\npersist-key\npersist-tun\n\
               topology subnet\n#duplicate-cn\nproto tcp\nport 1194\ndev tun0\nserver 172.16.100.0 255.255.255.0\n\
               status /tmp/openvpn-status.log\nuser nobody\ngroup nogroup\npush \"topology subnet\"\n\
               push \"tun-mtu 1400\"\ntun-mtu 1400\npush \"route 10.0.0.0 255.255.0.0 net_gateway\"\n",
        has: &[
            "proto tcp6-server",
            "tun-mtu 1400",
            "push \"tun-mtu 1400\"",
            "push \"route 10.0.0.0 255.255.0.0 net_gateway\"",
        ],
        left_out: &[],
    },
    Case {
        of: "a web panel of the days of 2.3",
        text: "management 0.0.0.0 2080\n\nport 1194\nproto udp\n\ndev tun\n\nca keys/ca.crt\ncert keys/server.crt\n\
               key keys/server.key\n\ncipher AES-256-CBC\nkeysize 256\nauth SHA256\ndh keys/dh2048.pem\n\n\
               server 10.8.0.0 255.255.255.0\nifconfig-pool-persist ipp.txt\npush \"route 10.8.0.0 255.255.255.0\"\n\
               keepalive 10 120\n\ncomp-lzo\nmax-clients 100\n\npersist-key\npersist-tun\n\nlog         openvpn.log\nverb 3\n\n\
               mute 10\n",
        has: &[
            "comp-lzo",
            "allow-compression asym",
            "max-clients 100",
            "ca DIR/keys/ca.crt",
        ],
        left_out: &["keysize"],
    },
    Case {
        of: "two offices, one behind a client",
        text: "local 172.25.101.105\nport 10000\nproto tcp\ndev tun\nca /etc/openvpn/easy-rsa/keys/ca.crt\n\
               cert /etc/openvpn/easy-rsa/keys/vpnserver.crt\nkey /etc/openvpn/easy-rsa/keys/vpnserver.key \n\
               dh /etc/openvpn/easy-rsa/keys/dh2048.pem\nserver 10.8.0.0 255.255.255.0\nifconfig-pool-persist ipp.txt\n\
               push \"route 172.25.101.0 255.255.255.0\" # to clients\nroute 172.16.0.0 255.255.255.0          # to an office\n\
               client-config-dir /etc/openvpn/ccd\nkeepalive 10 120\ncomp-lzo\nmax-clients 120\nuser nobody\ngroup nobody\n\
               client-to-client\nduplicate-cn                         # one certificate for many\npersist-key\npersist-tun\n\
               status /var/log/openvpn/openvpn-status.log\nlog /var/log/openvpn/openvpn.log\n\
               writepid /var/run/openvpn/server.pid \nverb 3 mute 20\n",
        has: &[
            "port 10000",
            "proto tcp-server",
            "route 172.16.0.0 255.255.255.0",
            "duplicate-cn",
            "push \"route 172.25.101.0 255.255.255.0\"",
            "verb 1",
        ],
        left_out: &[],
    },
    Case {
        of: "a script of a handbook that changes the firewall by `up`",
        text: "dev tun \ntls-server\nserver 10.3.0.0 255.255.255.0\nport 1194\n\npush \"redirect-gateway def1\"\n\
               up /etc/openvpn/roadwarrior\nplugin /usr/lib/openvpn/openvpn-plugin-down-root.so /etc/openvpn/roadwarrior\n\n\
               max-clients 5\nclient-to-client\nduplicate-cn\nifconfig-pool-persist ipp.txt\n\ndh keys/dh1024.pem\n\
               ca keys/vpn-CA.crt\ncert keys/vpn-00.crt\nkey keys/vpn-00.key\n\ncomp-lzo\nuser nobody\ngroup nogroup\n\n\
               ping 15\nping-restart 45\nping-timer-rem\npersist-tun\npersist-key\n\npush \"ping 15\" \n\
               push \"ping-restart 45\" \npush \"persist-tun\"\npush \"persist-key\"\n\nverb 3\n\
               status /var/log/openvpn-status.log\nlog /var/log/openvpn.log\nlog-append /var/log/openvpn.log\n",
        has: &[
            "proto udp6",
            "ping 15",
            "ping-restart 45",
            "ping-timer-rem",
            "push persist-key",
        ],
        left_out: &["up", "plugin"],
    },
    Case {
        of: "a script of a seedbox, which names neither port nor transport",
        text: "\ndev tun\nserver 10.191.12.0 255.255.255.0\nifconfig-pool-persist ipp.txt\nca ca.crt\ncert server.crt\n\
               key server.key\ndh dh1024.pem\npush \"route 10.191.12.0 255.255.255.0\"\npush \"redirect-gateway\"\n\
               comp-lzo\nkeepalive 10 60\nping-timer-rem\npersist-tun\npersist-key\ngroup daemon\ndaemon",
        has: &["port 1194", "proto udp6", "push redirect-gateway", "group nogroup"],
        left_out: &[],
    },
    Case {
        of: "a handbook with a mistake in what it pushes",
        text: "port 1207\nproto udp\ndev tun\nca /etc/openvpn/pki/ca.crt\ncert /etc/openvpn/pki/issued/server.crt\n\
               key /etc/openvpn/pki/private/server.key\ndh /etc/openvpn/pki/dh.pem\nserver 10.10.10.0 255.255.255.0\n\
               push \"10.10.10.0 255.255.255.0\"\nifconfig-pool-persist ipp.txt\nclient-to-client\n\
               client-config-dir /etc/openvpn/client\nkeepalive 10 120\ncomp-lzo\npersist-key\npersist-tun\n\
               status /var/log/openvpn-status.log\nlog /var/log/openvpn.log\nverb 3\n",
        has: &["port 1207", "push \"10.10.10.0 255.255.255.0\""],
        left_out: &[],
    },
    Case {
        of: "one that has everything in one file, and scripts",
        text: "mode server\ntls-server\nproto udp4\nlport 1195\ndev tun7\ndev-type tun\nifconfig 10.9.0.1 255.255.255.0\n\
               ifconfig-pool 10.9.0.2 10.9.0.200 255.255.255.0\ntopology subnet\nreneg-sec 0\nscript-security 2\n\
               client-connect \"/etc/openvpn/log in.sh\"\nsetenv opt tls-version-min 1.2\nchroot /srv/jail\n\
               <ca>\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n</ca>\n\
               <cert>\nX\n</cert>\n<key>\nY\n</key>\n<tls-crypt-v2>\nZ\n</tls-crypt-v2>\ndh none\n",
        has: &[
            "port 1195",
            "proto udp4",
            "mode server",
            "ifconfig-pool 10.9.0.2 10.9.0.200 255.255.255.0",
            "setenv opt tls-version-min 1.2",
            "reneg-sec 600",
            "ca OLD/ca.pem",
            "tls-crypt-v2 OLD/tls-crypt-v2.pem",
        ],
        left_out: &["client-connect", "chroot"],
    },
];

fn ours(dir: &Path) -> Ours {
    let path = |name: &str| ConfPath::new(&dir.join(name)).expect("a path");
    Ours {
        ipv6: true,
        allow_dir: path("allow.old"),
        revoked_dir: path("revoked.old"),
        control_socket: path("node-1.old.sock"),
        control_user: "root".parse().expect("a name"),
        user: "nobody".parse().expect("a name"),
        group: "nogroup".parse().expect("a name"),
        blocks: dir.join("old"),
    }
}

fn conf(dir: &Path, text: &str) -> OldConf {
    let file = dir.join("server.conf");
    fs::write(&file, text).expect("written");
    OldConf::read(&file)
}

#[test]
fn what_clients_of_old_servers_depend_on_is_carried_over_and_the_rest_is_the_agents() {
    for case in CASES {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path();
        let conf = conf(dir, case.text);
        assert_eq!(conf.refusals(), Vec::<String>::new(), "{}", case.of);
        assert_eq!(conf.left_out(), case.left_out, "{}", case.of);

        let rendered = render(&conf, &ours(dir)).expect(case.of);

        let lines: Vec<&str> = rendered.text.lines().collect();
        let place = |line: &&str| line.replace("DIR", &dir.display().to_string());
        for line in case.has.iter().map(place) {
            let line = line.replace("OLD", &dir.join("old").display().to_string());
            assert!(lines.contains(&line.as_str()), "{}: {line}\n{}", case.of, rendered.text);
        }
        assert_eq!(rendered.text.find(WRITTEN_BY), Some(0));
        // As OpenVPN reads it, the agent's lines alone say who gets in and who watches.
        let written = dir.join("rendered.conf");
        fs::write(&written, &rendered.text).expect("written");
        let read = Directives::read(&written);
        assert_eq!(read.refusals, Vec::<String>::new(), "{}", case.of);
        for (option, argument) in [
            ("client-config-dir", dir.join("allow.old").display().to_string()),
            ("crl-verify", dir.join("revoked.old").display().to_string()),
            ("management", dir.join("node-1.old.sock").display().to_string()),
            ("user", "nobody".to_owned()),
            ("script-security", "0".to_owned()),
            ("verb", "1".to_owned()),
            ("tran-window", "60".to_owned()),
        ] {
            let said: Vec<&[String]> = read.each(option).collect();
            let is_one = matches!(said.as_slice(), [[first, ..]] if *first == argument);
            assert!(is_one, "{}: {option} {said:?}", case.of);
        }
        assert!(read.has("ccd-exclusive"), "{}", case.of);
        for option in [
            "log",
            "status",
            "daemon",
            "up",
            "plugin",
            "client-connect",
            "chroot",
            "syslog",
        ] {
            assert!(!read.has(option), "{}: {option}", case.of);
        }
    }
}

#[test]
fn blocks_become_files_of_the_agent_with_their_content() {
    let folder = tempfile::tempdir().expect("a folder");
    let conf = conf(folder.path(), CASES[11].text);
    let rendered = render(&conf, &ours(folder.path())).expect("rendered");
    let files: Vec<(String, &str)> = rendered
        .files
        .iter()
        .map(|(path, text)| {
            (
                path.file_name().expect("a name").to_string_lossy().into_owned(),
                text.as_str(),
            )
        })
        .collect();
    let ca = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let expected = [
        ("ca.pem", ca),
        ("cert.pem", "X\n"),
        ("key.pem", "Y\n"),
        ("tls-crypt-v2.pem", "Z\n"),
    ];
    assert_eq!(files, expected.map(|(name, text)| (name.to_owned(), text)));
}

#[test]
fn words_are_read_back_as_they_were() {
    use vpnmanager_openvpn_conf::words;

    for text in [
        "plain",
        "",
        "two words",
        "a\"b",
        "c:\\a",
        "#",
        ";x",
        "it's",
        "tab\there",
    ] {
        let line = line_of(&["push".to_owned(), text.to_owned()]);
        assert_eq!(words(&line).expect("read"), ["push", text], "{line}");
    }
}

#[test]
fn what_cannot_be_said_again_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let long = format!("push \"route {}\"\n", "1".repeat(200));
    render(&conf(dir, &long), &ours(dir)).expect("it fits");
    // A path in full may be longer than what stood there.
    let longer = format!("dev tun\nca {}.crt\n", "x".repeat(245));
    let error = render(&conf(dir, &longer), &ours(dir)).expect_err("too long");
    assert!(error.to_string().contains("`ca`"), "{error}");
    let odd = render(&conf(dir, "ca 'it;is.crt'\n"), &ours(dir)).expect_err("an odd path");
    assert!(odd.to_string().contains("`ca`"), "{odd}");
}

#[test]
fn several_places_where_it_listens_are_carried_over_and_the_port_is_for_those_that_name_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "local 192.0.2.1 443 tcp\nlocal 192.0.2.1\nport 1195\n";
    let rendered = render(&conf(folder.path(), text), &ours(folder.path())).expect("rendered");
    for line in [
        "port 1195\nproto udp\n",
        "local 192.0.2.1 443 tcp\n",
        "local 192.0.2.1\n",
    ] {
        assert!(rendered.text.contains(line), "{line}: {}", rendered.text);
    }
    assert!(!rendered.text.contains("multihome"), "{}", rendered.text);
}

#[test]
fn a_shorter_time_between_key_exchanges_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    for (told, kept) in [
        ("reneg-sec 300", 300),
        ("reneg-sec 86400", 600),
        ("reneg-sec 0", 600),
        ("", 600),
    ] {
        let rendered = render(&conf(folder.path(), told), &ours(folder.path())).expect("rendered");
        assert!(rendered.text.contains(&format!("reneg-sec {kept}\n")), "{told}");
    }
}
