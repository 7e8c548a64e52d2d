//! Configurations of servers, as people publish them.

use super::*;

#[test]
fn a_configuration_alone_is_read_with_what_stands_in_it() {
    let pki = Pki::new("Inline CA");
    let source = Source::new(&[("vpn.ovpn", ""), ("ca.crt", &pki.ca())]);
    source.write(
        "vpn.ovpn",
        format!(
            "# comment\r\n; another\r\n--port 443 # the port\r\n'proto' \"tcp\"\r\nserver 10.8.0.5 255.255.0.0 nopool\r\n<ca>\r\n{}</ca>\r\n\
             setenv opt duplicate-cn\r\npush \"route 10.1.0.0 255.255.0.0\"\r\npush 'route-ipv6 2001:db8::/32'\r\npush \"dhcp-option DOMAIN example.com\"\r\n\
             push \"dns search-domains a.example b.example\"\r\nclient-to-client\r\n",
            pki.ca()
        ),
    );
    let found = source.read_file("vpn.ovpn").expect("a configuration");
    assert_eq!(found.kinds, ["server.conf"]);
    assert!(found.users.is_empty());
    let server = found.server.as_ref().expect("a server");
    assert_eq!(shown(&server.listeners), ["tcp:443"]);
    assert_eq!(shown(&server.networks), ["10.8.0.0/16"]);
    assert_eq!(shown(&server.routes), ["10.1.0.0/16", "2001:db8::/32"]);
    assert_eq!(server.dns_domains, ["example.com", "a.example", "b.example"]);
    assert!(server.duplicate_cn && server.client_to_client && !server.takes_all_traffic);
    assert_eq!(found.authority.as_ref().expect("an authority").subject, "CN=Inline CA");
    assert_remarks(&found, &[]);
}

#[test]
fn files_that_a_configuration_includes_are_read_within_the_source_alone() {
    let outside = Source::new(&[("secret.conf", "management-hold\n")]);
    let secret = outside.dir.path().join("secret.conf");
    let source = Source::new(&[
        (
            "server/server.conf",
            "config base.inc\nconfig /etc/openvpn/server/more/extra.inc\nserver 10.8.0.0 255.255.255.0\n",
        ),
        ("server/base.inc", "port 1195\nport 1196"),
        ("server/more/extra.inc", "proto tcp"),
    ]);
    let server = source.read().server.expect("a server");
    assert_eq!(shown(&server.listeners), ["tcp:1196"]);

    let included = format!(
        "config {}\nserver 10.8.0.0 255.255.255.0\nconfig server.conf\n",
        secret.display()
    );
    source.write("server/server.conf", included);
    let found = source.read();
    let told = remarks(&found).join("\n");
    assert!(
        told.contains("cannot read") && told.contains("is included by itself"),
        "{told}"
    );
    assert!(!told.contains("management-hold"), "{told}");
}

/// Ten servers of public repositories, and what of each cannot be carried over.
#[test]
fn what_servers_do_that_is_not_carried_over_is_named_without_its_values() {
    let cases: [(&str, &[&str]); 10] = [
        (
            "cipher AES-256-CBC\nauth SHA512\ncomp-lzo\nstatus openvpn-status.log\nverb 3",
            &["`comp-lzo`"],
        ),
        (
            "plugin /usr/lib/openvpn/openvpn-auth-ldap.so \"/etc/ldap s3cret\"\nclient-cert-not-required",
            &[
                "`plugin` is not carried over: it runs a program",
                "`client-cert-not-required`",
            ],
        ),
        (
            "verify-client-cert none\nusername-as-common-name\nauth-user-pass-verify \"/bin/check s3cret\" via-env\nscript-security 3 execve",
            &[
                "`verify-client-cert`",
                "`username-as-common-name`",
                "`auth-user-pass-verify`",
                "`script-security`",
            ],
        ),
        (
            "dev tap0\nserver-bridge 10.0.0.1 255.255.255.0 10.0.0.50 10.0.0.100",
            &["`dev tap0`", "`server-bridge`"],
        ),
        ("x509-username-field emailAddress", &["`x509-username-field`"]),
        (
            "client-connect /etc/openvpn/up.sh\nlearn-address /x\nup /y",
            &["`client-connect`", "`learn-address`", "`up`"],
        ),
        (
            "fragment 1300\nmssfix 1300\ntun-mtu 1400\nmax-clients 100",
            &["`fragment`", "`mssfix`", "`tun-mtu`", "`max-clients`"],
        ),
        (
            "push \"dhcp-option WINS 10.8.0.1\"\npush \"redirect-gateway def1\"\npush \"sndbuf 393216\"\npush \"ping 10\"",
            &["`push \"dhcp-option WINS 10.8.0.1\"`", "`push \"sndbuf 393216\"`"],
        ),
        (
            "port openvpn\npush \"route intranet.example 255.255.255.255\"",
            &["the port `openvpn`", "a pushed route"],
        ),
        (
            "server 10.8.0.0\nkey \"unclosed\nsetenv TOKEN s3cret",
            &["does not end", "`setenv`", "the network of `server`"],
        ),
    ];
    for (text, parts) in cases {
        let source = Source::new(&[("server.conf", &format!("mode server\n{text}\n"))]);
        let told = remarks(&source.read());
        assert_eq!(told.len(), parts.len(), "{text:?}: {told:#?}");
        for part in parts {
            assert!(
                told.iter().any(|remark| remark.contains(part)),
                "{part} of {text:?}: {told:#?}"
            );
        }
        assert!(!told.join("\n").contains("s3cret"), "{told:#?}");
    }
}

#[test]
fn a_key_with_a_passphrase_and_a_certificate_that_ended_are_said() {
    let pki = Pki::new("CA");
    let mut ended = params("server", 1);
    ended.not_after = date_time_ymd(2025, 6, 1);
    let ended = ended
        .self_signed(&KeyPair::generate().expect("a key"))
        .expect("a certificate");
    let conf = "server 10.8.0.0 255.255.255.0\nca ca.crt\ncert server.crt\nkey server.key\n";
    let source = Source::new(&[
        ("server.conf", conf),
        ("ca.crt", &pki.ca()),
        ("server.crt", &ended.pem()),
    ]);
    for key in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIFHDBOBgkqhkiG9w0BBQ0wQTApBgkqhkiG9w0BBQwwHAQI\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        source.write("server.key", key);
        assert_remarks(
            &source.read(),
            &[
                ("server.key", "has a passphrase"),
                ("server.crt", "the server's certificate ended at 2025-06-01"),
            ],
        );
    }
    source.write("server.crt", "-----BEGIN CERTIFICATE-----\nAAAA");
    source.write("server.key", "-----BEGIN PRIVATE KEY-----\n");
    assert_remarks(&source.read(), &[("server.crt", "the server does not start with it")]);
}

#[test]
fn with_ccd_exclusive_who_has_no_file_is_not_let_in() {
    let pki = Pki::new("CA");
    let conf = "server 10.8.0.0 255.255.255.0\nca keys/ca.crt\ncert server.crt\nccd-exclusive\nclient-config-dir /etc/openvpn/allowed\n";
    let source = Source::new(&[
        ("server.conf", conf),
        ("allowed/alice", ""),
        ("keys/ca.crt", &pki.ca()),
        (
            "keys/index.txt",
            &index(&[("V", "02", "alice"), ("V", "03", "bob"), ("V", "04", "carl/laptop")]),
        ),
        ("allowed/carl_laptop", "push \"route 10.1.0.0 255.255.0.0\""),
    ]);
    let found = source.read();
    assert_eq!(
        users(&found),
        expected(&[("alice", true, "2"), ("bob", false, "3"), ("carl/laptop", true, "4")])
    );
    assert_eq!(found.users[0].client, None);
    assert!(found.users[2].client.is_some());
    assert_remarks(&found, &[("keys/index.txt:2", "the server lets in nobody without one")]);

    // Where the folder is not in the source, who is in it is not known.
    fs::remove_dir_all(source.dir.path().join("allowed")).expect("removed");
    let found = source.read();
    assert!(found.users.iter().all(|user| user.active));
    assert_remarks(&found, &[("server.conf", "/etc/openvpn/allowed, is not in the source")]);
}

#[test]
fn who_has_no_file_is_not_let_in_where_the_one_for_everybody_refuses() {
    let pki = Pki::new("CA");
    let source = Source::new(&[
        (
            "server.conf",
            "server 10.8.0.0 255.255.255.0\nca pki/ca.crt\nclient-config-dir ccd\n",
        ),
        ("ccd/alice", "push \"route 10.1.0.0 255.255.0.0\"\n"),
        ("ccd/DEFAULT", "disable\n"),
        ("pki/ca.crt", &pki.ca()),
        ("pki/index.txt", &index(&[("V", "02", "alice"), ("V", "03", "bob")])),
    ]);
    let found = source.read();
    assert_eq!(users(&found), expected(&[("alice", true, "2"), ("bob", false, "3")]));
    assert_remarks(
        &found,
        &[
            ("pki/index.txt:2", "the one for everybody else refuses them"),
            ("ccd/DEFAULT", "is not carried over"),
        ],
    );
}

#[test]
fn a_server_without_an_authority_has_users_without_old_certificates() {
    let conf = "server 10.8.0.0 255.255.255.0\ncert server.crt\n<peer-fingerprint>\n# alice\nAA:BB\n\n# bob\nCC:DD\n</peer-fingerprint>\n";
    let found = Source::new(&[("server.conf", conf)]).read();
    assert_eq!(users(&found), expected(&[("alice", true, ""), ("bob", true, "")]));
    assert_remarks(
        &found,
        &[(
            "server.conf:3",
            "`peer-fingerprint` is not carried over: without an authority",
        )],
    );
}
