//! Folders as the well-known scripts leave them.

use super::*;

/// Nyr's script: everything below `server`, the server is called `server`.
#[test]
fn a_folder_with_server_conf_beside_easy_rsa_3() {
    let pki = Pki::new("ChangeMe");
    let (server, alice) = (pki.issue("server", 0xA1, SERVER), pki.issue("alice", 0xA2, CLIENT));
    let source = Source::new(&[
        (
            "server/server.conf",
            "local 192.0.2.1\nport 1194\nproto udp\ndev tun\nca ca.crt\ncert server.crt\nkey server.key\ndh dh.pem\nauth SHA512\ntls-crypt tc.key\n\
             topology subnet\nserver 10.8.0.0 255.255.255.0\nserver-ipv6 fddd:1194:1194:1194::/64\n\
             push \"redirect-gateway def1 ipv6 bypass-dhcp\"\nifconfig-pool-persist ipp.txt\npush \"dhcp-option DNS 8.8.8.8\"\n\
             push \"dhcp-option DNS 8.8.4.4\"\npush \"block-outside-dns\"\nkeepalive 10 120\nuser nobody\ngroup nogroup\n\
             persist-key\npersist-tun\nverb 3\ncrl-verify crl.pem\nexplicit-exit-notify\n",
        ),
        ("server/ca.crt", &pki.ca()),
        ("server/server.crt", &server.pem()),
        ("server/server.key", "-----BEGIN PRIVATE KEY-----\n"),
        ("server/crl.pem", &pki.crl(&[0xA3], 2050)),
        ("server/ipp.txt", "alice,10.8.0.2,\n"),
        ("server/easy-rsa/pki/ca.crt", &pki.ca()),
        ("server/easy-rsa/pki/crl.pem", &pki.crl(&[0xA3], 2050)),
        (
            "server/easy-rsa/pki/index.txt",
            &index(&[("V", "A1", "server"), ("V", "A2", "alice"), ("R", "A3", "bob")]),
        ),
        ("server/easy-rsa/pki/issued/server.crt", &server.pem()),
        ("server/easy-rsa/pki/issued/alice.crt", &alice.pem()),
        ("server/easy-rsa/pki/certs_by_serial/A2.pem", &alice.pem()),
        ("server/easy-rsa/pki/private/alice.key", "secret"),
        ("client/notes.txt", "nothing"),
    ]);
    let found = source.read();
    assert_eq!(found.kinds, ["server.conf", "easy-rsa 3"]);
    assert_eq!(
        users(&found),
        expected(&[("alice", true, "162"), ("bob", false, "(163)")])
    );
    let alice = &found.users[0];
    assert_eq!(
        alice.created_at.expect("a time").to_rfc3339(),
        "2020-01-01T00:00:00+00:00"
    );
    assert_eq!(alice.place.to_string(), "server/easy-rsa/pki/index.txt:2");
    assert_eq!(
        alice.certificates[0].not_after.to_rfc3339(),
        "2050-01-01T00:00:00+00:00"
    );
    let server = found.server.as_ref().expect("a server");
    assert_eq!(shown(&server.listeners), ["udp:1194"]);
    assert_eq!(shown(&server.networks), ["10.8.0.0/24", "fddd:1194:1194:1194::/64"]);
    assert!(server.takes_all_traffic && server.routes.is_empty() && !server.client_to_client);
    assert_eq!(server.dns_servers.len(), 2);
    let authority = found.authority.as_ref().expect("an authority");
    assert_eq!(authority.subject, "CN=ChangeMe");
    assert!(authority.revoked_without_name.is_empty());
    assert_remarks(
        &found,
        &[
            ("server/server.conf:18", "block-outside-dns"),
            ("server/easy-rsa/pki/index.txt:1", "`server` is no user's"),
        ],
    );
}

/// angristan's script: a drawn name for the server, absolute and relative paths, a folder for client files. The certificates are not in the copy.
#[test]
fn an_index_without_certificates_and_a_server_with_a_drawn_name() {
    let pki = Pki::new("cn_u1");
    let source = Source::new(&[
        (
            "server.conf",
            "port 443\nproto tcp6\ndev tun\nserver 10.8.0.0 255.255.255.0\ncrl-verify crl.pem\nca ca.crt\ncert server_AbCdEfGh12345678.crt\n\
             key server_AbCdEfGh12345678.key\nignore-unknown-option data-ciphers\nclient-config-dir ccd\nmanagement /run/s.sock unix\n",
        ),
        ("ca.crt", &pki.ca()),
        ("crl.pem", &pki.crl(&[], 2050)),
        ("ccd/alice", "ifconfig-push 10.8.0.50 255.255.255.0\n"),
        (
            "easy-rsa/pki/index.txt",
            &index(&[
                ("V", "C3F06F32813B8D2C19371D6302DB3410", "server_AbCdEfGh12345678"),
                ("V", "991EDAB3034BF186BF1CCCC6542832F4", "alice"),
            ]),
        ),
        ("easy-rsa/pki/serial", "00"),
    ]);
    let found = source.read();
    assert_eq!(found.users.len(), 1);
    assert_eq!(found.users[0].name, "alice");
    assert_eq!(
        found.users[0].client.as_ref().and_then(|client| client.address),
        "10.8.0.50".parse().ok()
    );
    assert_eq!(found.server.expect("a server").listeners[0].to_string(), "tcp:443");
    assert!(found.authority.is_some());
}

/// PiVPN: the server's name has the machine's in it, and each client has a fixed address.
#[test]
fn fixed_addresses_and_networks_behind_clients() {
    let pki = Pki::new("ChangeMe");
    let name = "raspberrypi_0b3f9a4e-1c1e-4a11-8c25-1f0d7d8f1f00";
    let source = Source::new(&[
        (
            "server.conf",
            &format!(
                "dev tun\nproto udp\nport 1194\nca /etc/openvpn/easy-rsa/pki/ca.crt\ncert /etc/openvpn/easy-rsa/pki/issued/{name}.crt\n\
                 key /etc/openvpn/easy-rsa/pki/private/{name}.key\ndh none\necdh-curve prime256v1\ntopology subnet\n\
                 server 10.8.0.0 255.255.255.0\n# Set your primary domain name server address for clients\npush \"dhcp-option DNS 9.9.9.9\"\n\
                 push \"route 192.168.5.0 255.255.255.0\"\nclient-to-client\nclient-config-dir /etc/openvpn/ccd\nkeepalive 15 120\n\
                 remote-cert-tls client\ncrl-verify /etc/openvpn/crl.pem\n"
            ),
        ),
        ("crl.pem", &pki.crl(&[], 2050)),
        ("ccd/phone", "ifconfig-push 10.8.0.2 255.255.255.0"),
        (
            "ccd/office",
            "iroute 192.168.7.9 255.255.255.0\niroute-ipv6 2001:db8:7::/64\npush \"route 10.9.0.0 255.255.0.0\"\nifconfig-push office.lan 10.8.0.1\n\
             max-routes 5\n",
        ),
        ("ccd/blocked", "disable\n"),
        ("ccd/gone", "ifconfig-push 10.8.0.9 255.255.255.0"),
        ("ccd/DEFAULT", "push \"route 10.10.0.0 255.255.0.0\""),
        ("easy-rsa/pki/ca.crt", &pki.ca()),
        ("easy-rsa/pki/issued/phone.crt", &pki.issue("phone", 2, CLIENT).pem()),
        (
            "easy-rsa/pki/index.txt",
            &index(&[
                ("V", "01", name),
                ("V", "02", "phone"),
                ("V", "03", "office"),
                ("V", "04", "blocked"),
            ]),
        ),
    ]);
    let found = source.read();
    assert_eq!(
        users(&found),
        expected(&[("phone", true, "2"), ("office", true, "3"), ("blocked", false, "4")])
    );
    let client = |at: usize| found.users[at].client.clone().unwrap_or_default();
    assert_eq!(client(0).address, "10.8.0.2".parse().ok());
    let office = client(1);
    assert_eq!(shown(&office.networks), ["192.168.7.0/24", "2001:db8:7::/64"]);
    assert_eq!(
        (office.address, office.pushed.as_slice()),
        (None, ["route 10.9.0.0 255.255.0.0".to_owned()].as_slice())
    );
    let server = found.server.as_ref().expect("a server");
    assert!(server.client_to_client && !server.takes_all_traffic);
    assert_eq!(shown(&server.routes), ["192.168.5.0/24"]);
    assert_remarks(
        &found,
        &[
            ("easy-rsa/pki/index.txt:1", "by its name it is the server's"),
            (
                "ccd/office:4",
                "`ifconfig-push` of `office` is not carried over: it is not understood",
            ),
            ("ccd/office:5", "`max-routes` of `office` is not carried over"),
            ("ccd/DEFAULT", "for everybody"),
            ("ccd/gone", "no user is called so"),
        ],
    );
}

/// easy-rsa 2: one folder, counted serial numbers, `nsCertType` and longer subjects. A name was revoked and given out again.
#[test]
fn an_easy_rsa_2_folder_where_a_name_was_given_out_again() {
    let pki = Pki::new("Example CA");
    let subject = "/C=US/ST=CA/L=SanFrancisco/O=Example/OU=MyVPN/CN=";
    let rest = "/name=EasyRSA/emailAddress=me@example.com";
    let source = Source::new(&[
        ("easy-rsa/keys/ca.crt", &pki.ca()),
        ("easy-rsa/keys/ca.key", "secret"),
        ("easy-rsa/keys/crl.pem", &pki.crl(&[5, 7], 2050)),
        (
            "easy-rsa/keys/dh2048.pem",
            "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n",
        ),
        ("easy-rsa/keys/server.crt", &pki.issue("server", 1, SERVER).pem()),
        ("easy-rsa/keys/01.pem", &pki.issue("server", 1, SERVER).pem()),
        ("easy-rsa/keys/client0.crt", &pki.issue("client0", 6, CLIENT).pem()),
        (
            "easy-rsa/keys/index.txt",
            &format!(
                "V\t310224084130Z\t\t01\tunknown\t{subject}server{rest}\nR\t260303055121Z\t210304055121Z\t05\tunknown\t{subject}again{rest}\n\
                 V\t260303055328Z\t\t06\tunknown\t{subject}client0{rest}\nR\t260303060510Z\t210304060510Z\t07\tunknown\t{subject}again{rest}\n\
                 V\t270303060728Z\t\t08\tunknown\t{subject}again{rest}\nE\t200303060728Z\t\t09\tunknown\t{subject}old{rest}\n"
            ),
        ),
        ("easy-rsa/keys/index.txt.old", "V\t"),
    ]);
    let found = source.read();
    assert_eq!(found.kinds, ["easy-rsa 2"]);
    assert_eq!(
        users(&found),
        expected(&[("again", true, "(5) (7) 8"), ("client0", true, "6"), ("old", true, "9")])
    );
    assert!(found.users[2].certificates[0].not_after < now());
    assert_eq!(found.server, None);
    assert_remarks(&found, &[("easy-rsa/keys/index.txt:1", "of a server")]);
}

/// A container: the configuration has another name, and paths as they are inside.
#[test]
fn a_folder_of_a_container_is_read_though_its_paths_are_of_another_machine() {
    let pki = Pki::new("vpn.example.com");
    let source = Source::new(&[
        (
            "openvpn.conf",
            "server 192.168.255.0 255.255.255.0\nverb 3\nkey /etc/openvpn/pki/private/vpn.example.com.key\nca /etc/openvpn/pki/ca.crt\n\
             cert /etc/openvpn/pki/issued/vpn.example.com.crt\ndh /etc/openvpn/pki/dh.pem\ntls-auth /etc/openvpn/pki/ta.key\nkey-direction 0\n\
             keepalive 10 60\npersist-key\npersist-tun\n\nproto udp\n# Rely on Docker to do port mapping, internally always 1194\nport 1194\ndev tun0\n\
             status /tmp/openvpn-status.log\n\nuser nobody\ngroup nogroup\ncomp-lzo no\n\n### Route Configurations Below\nroute 192.168.254.0 255.255.255.0\n\n\
             ### Push Configurations Below\npush \"block-outside-dns\"\npush \"dhcp-option DNS 8.8.8.8\"\npush \"comp-lzo no\"\n",
        ),
        ("ovpn_env.sh", "declare -x OVPN_AUTH="),
        ("pki/ca.crt", &pki.ca()),
        (
            "pki/index.txt",
            &index(&[("V", "01", "vpn.example.com"), ("V", "02", "laptop")]),
        ),
        (
            "pki/issued/vpn.example.com.crt",
            &pki.issue("vpn.example.com", 1, SERVER).pem(),
        ),
        ("pki/issued/laptop.crt", &pki.issue("laptop", 2, CLIENT).pem()),
    ]);
    let found = source.read();
    assert_eq!(users(&found), expected(&[("laptop", true, "2")]));
    assert_remarks(
        &found,
        &[
            (
                "openvpn.conf:21",
                "`comp-lzo` is not carried over: new profiles compress nothing",
            ),
            ("openvpn.conf:24", "`route` is not carried over"),
            ("openvpn.conf:27", "block-outside-dns"),
            ("pki/index.txt:1", "of a server"),
        ],
    );
}

/// Two servers with one authority, such as for UDP and TCP.
#[test]
fn two_servers_of_one_authority_are_one() {
    let pki = Pki::new("CA");
    let conf = |rest: &str| format!("ca ca.crt\ncert server.crt\ndev tun\n{rest}");
    let source = Source::new(&[
        ("ca.crt", &pki.ca()),
        ("server.crt", &pki.issue("server", 1, SERVER).pem()),
        (
            "tcp.conf",
            &conf("proto tcp-server\nport 443\nserver 10.9.0.0 255.255.255.0\nduplicate-cn"),
        ),
        (
            "server.conf",
            &conf("server 10.8.0.0 255.255.255.0\nccd-exclusive\nclient-config-dir ccd"),
        ),
        ("client.conf", "client\nremote vpn.example.com\n"),
        ("ccd/x", ""),
        ("keys/ca.crt", &pki.ca()),
        ("keys/index.txt", &index(&[("V", "02", "alice")])),
    ]);
    let found = source.read();
    let server = found.server.as_ref().expect("a server");
    assert_eq!(shown(&server.listeners), ["udp:1194", "tcp:443"]);
    assert_eq!(server.networks.len(), 2);
    assert!(server.duplicate_cn);
    // The other server lets her in without a file.
    assert_eq!(users(&found), expected(&[("alice", true, "2")]));
    assert_remarks(
        &found,
        &[
            ("client.conf", "no configuration of a server"),
            ("ccd/x", "no user is called so"),
        ],
    );
}
