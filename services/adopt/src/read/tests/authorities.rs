//! What is issued, revoked, renewed and lost.

use super::*;

#[test]
fn an_authority_that_has_ended_is_refused_before_anything_else() {
    let pki = Pki::ending("Old CA", 2025);
    let source = Source::new(&[
        ("pki/ca.crt", &pki.ca()),
        ("pki/index.txt", &index(&[("V", "01", "alice")])),
        // This one is broken too.
        ("users.db", "SQLite format 3\0"),
    ]);
    let refused = source.try_read().expect_err("refused").to_string();
    assert_eq!(
        refused,
        "the certificate authority CN=Old CA (pki/ca.crt) ended at 2025-01-01T00:00:00+00:00: no server and no client takes its certificates any more"
    );
}

#[test]
fn certificates_in_der_are_read() {
    let pki = Pki::new("CA");
    let source = Source::new(&[("pki/index.txt", &index(&[("V", "0A", "server"), ("V", "0B", "alice")]))]);
    source.write("pki/ca.crt", pki.certificate.der());
    source.write("pki/issued/server.crt", pki.issue("server", 10, SERVER).der());
    source.write("pki/issued/alice.crt", pki.issue("alice", 11, CLIENT).der());
    let found = source.read();
    assert_eq!(users(&found), expected(&[("alice", true, "11")]));
    assert_eq!(found.authority.expect("an authority").subject, "CN=CA");
}

#[test]
fn what_only_the_list_revokes_is_revoked_and_what_has_no_name_is_kept_out() {
    let pki = Pki::new("CA");
    let source = Source::new(&[
        (
            "server.conf",
            "server 10.8.0.0 255.255.255.0\nca pki/ca.crt\ncert server.crt\ncrl-verify crl.pem",
        ),
        // 1 and 4 are in no line of the index: a script deletes them when it revokes.
        ("crl.pem", &pki.crl(&[1, 2, 4], 2050)),
        ("pki/crl.pem", &pki.crl(&[1, 2, 4], 2050)),
        ("pki/ca.crt", &pki.ca()),
        (
            "pki/index.txt",
            &index(&[("V", "02", "alice"), ("R", "03", "bob"), ("V", "05", "alice")]),
        ),
    ]);
    let found = source.read();
    assert_eq!(
        users(&found),
        expected(&[("alice", true, "(2) 5"), ("bob", false, "(3)")])
    );
    let authority = found.authority.as_ref().expect("an authority");
    assert_eq!(authority.revoked_without_name, ["1", "4"]);
    assert_remarks(
        &found,
        &[
            ("pki/index.txt:1", "valid here and revoked elsewhere"),
            ("pki/index.txt:2", "that server still lets it in"),
            (
                "pki/index.txt",
                "2 certificates are revoked, and nothing says whose they were",
            ),
        ],
    );
}

#[test]
fn a_folder_of_serial_numbers_revokes_too() {
    let pki = Pki::new("CA");
    let source = Source::new(&[
        (
            "server.conf",
            "server 10.8.0.0 255.255.255.0\nca ca.crt\ncrl-verify /etc/openvpn/revoked dir",
        ),
        ("ca.crt", &pki.ca()),
        ("revoked/258", ""),
        ("revoked/readme", ""),
        ("pki/index.txt", &index(&[("V", "0102", "alice"), ("V", "0103", "bob")])),
        ("pki/serial", "04"),
    ]);
    let found = source.read();
    assert_eq!(
        users(&found),
        expected(&[("alice", false, "(258)"), ("bob", true, "259")])
    );
}

#[test]
fn lists_that_have_ended_are_broken_or_are_of_others_are_spoken_of() {
    let (pki, other) = (Pki::new("CA"), Pki::new("Other"));
    let source = Source::new(&[
        (
            "server.conf",
            "server 10.8.0.0 255.255.255.0\nca ca.crt\ncrl-verify crl.pem",
        ),
        ("ca.crt", &pki.ca()),
        ("pki/serial", "04"),
        ("pki/index.txt", &index(&[("V", "02", "alice")])),
    ]);
    for (list, part) in [
        (pki.crl(&[9], 2024), "with it the server lets nobody in"),
        (other.crl(&[2], 2050), "it is of another authority, CN=Other"),
        ("nothing".to_owned(), "no list of revoked certificates"),
        (
            "-----BEGIN X509 CRL-----\nMAAA\n-----END X509 CRL-----\n".to_owned(),
            "is damaged",
        ),
    ] {
        source.write("crl.pem", &list);
        let found = source.read();
        assert_eq!(users(&found), expected(&[("alice", true, "2")]), "{part}");
        let told = remarks(&found);
        assert!(
            told.iter()
                .any(|remark| remark.starts_with("crl.pem ") && remark.contains(part)),
            "{part}: {told:#?}"
        );
    }
}

#[test]
fn serial_numbers_that_are_there_twice_are_spoken_of_and_revoked_together() {
    let pki = Pki::new("CA");
    let source = Source::new(&[
        ("ca.crt", &pki.ca()),
        (
            "index.txt",
            &index(&[
                ("V", "02", "alice"),
                ("V", "02", "alice"),
                ("V", "03", "bob"),
                ("R", "3", "carl"),
                ("V", "04", "bob"),
            ]),
        ),
    ]);
    let found = source.read();
    assert_eq!(
        users(&found),
        expected(&[("alice", true, "2"), ("bob", true, "(3) 4"), ("carl", false, "(3)")])
    );
    assert_remarks(
        &found,
        &[
            ("index.txt:2", "is here twice"),
            ("index.txt:4", "to revoke one is to revoke both"),
        ],
    );
}

#[test]
fn the_certificate_itself_is_believed_more_than_the_index() {
    let (pki, other) = (Pki::new("CA"), Pki::new("Other"));
    let source = Source::new(&[
        ("pki/ca.crt", &pki.ca()),
        (
            "pki/index.txt",
            &index(&[("V", "02", "renamed"), ("V", "03", "bob"), ("V", "06", "cut")]),
        ),
        ("pki/issued/renamed.crt", &pki.issue("alice", 2, CLIENT).pem()),
        ("pki/issued/bob.crt", &other.issue("bob", 3, CLIENT).pem()),
        ("pki/issued/carl.crt", &pki.issue("carl", 5, CLIENT).pem()),
        ("pki/issued/cut.crt", "-----BEGIN CERTIFICATE-----\nMIIB"),
        ("pki/issued/empty.crt", ""),
        ("pki/renewed/issued/alice.crt", &pki.issue("alice", 7, CLIENT).pem()),
        ("pki/issued/sub.crt", &other.ca()),
    ]);
    let found = source.read();
    assert_eq!(
        users(&found),
        expected(&[
            ("alice", true, "2 7"),
            ("bob", true, "3"),
            ("cut", true, "6"),
            ("carl", true, "5")
        ])
    );
    assert_remarks(
        &found,
        &[
            ("pki/issued/bob.crt", "another authority issued it"),
            ("pki/issued/cut.crt", "a PEM block in it is damaged"),
            ("pki/issued/empty.crt", "there is no certificate in it"),
            ("pki/issued/sub.crt", "another authority issued it"),
            ("pki/index.txt:1", "itself says `alice`"),
            ("pki/issued/carl.crt", "is not in index.txt"),
            ("pki/renewed/issued/alice.crt", "is not in index.txt"),
        ],
    );
}

#[test]
fn without_an_index_the_certificates_count() {
    let pki = Pki::new("CA");
    let source = Source::new(&[
        ("pki/ca.crt", &pki.ca()),
        ("pki/crl.pem", &pki.crl(&[3], 2050)),
        ("pki/issued/server.crt", &pki.issue("server", 1, SERVER).pem()),
        ("pki/issued/alice.crt", &pki.issue("alice", 2, CLIENT).pem()),
        ("pki/issued/bob.crt", &pki.issue("bob", 3, CLIENT).pem()),
    ]);
    let found = source.read();
    assert_eq!(users(&found), expected(&[("alice", true, "2"), ("bob", false, "(3)")]));
    assert_remarks(&found, &[("pki/issued/server.crt", "of a server")]);
}

#[test]
fn of_several_authorities_the_one_that_the_server_trusts_counts() {
    let (pki, other) = (Pki::new("CA"), Pki::new("Other"));
    let source = Source::new(&[
        ("keys/ca.crt", &pki.ca()),
        ("keys/index.txt", &index(&[("V", "02", "alice"), ("V", "03", "bob")])),
        ("backup/keys/ca.crt", &pki.ca()),
        ("backup/keys/index.txt", &index(&[("V", "02", "alice")])),
        ("other/keys/ca.crt", &other.ca()),
        ("other/keys/index.txt", &index(&[("V", "02", "carl")])),
    ]);
    let refused = source.try_read().expect_err("several").to_string();
    assert!(
        refused.contains("several certificate authorities, backup/keys, keys, other/keys"),
        "{refused}"
    );

    source.write("server.conf", "server 10.8.0.0 255.255.255.0\nca keys/ca.crt");
    let found = source.read();
    assert_eq!(users(&found), expected(&[("alice", true, "2"), ("bob", true, "3")]));
    assert_remarks(
        &found,
        &[
            ("backup/keys", "it is a copy"),
            ("other/keys", "another authority than the one that the server trusts"),
        ],
    );

    source.write(
        "server.conf",
        format!("server 10.8.0.0 255.255.255.0\n<ca>\n{}</ca>", Pki::new("Third").ca()),
    );
    let refused = source.try_read().expect_err("another").to_string();
    assert!(
        refused.starts_with("the server of server.conf trusts another certificate authority"),
        "{refused}"
    );
}

#[test]
fn by_its_name_alone_a_server_is_told_where_there_is_nothing_better() {
    let lines = index(&[
        ("V", "01", "server"),
        ("V", "02", "server_AbCdEfGh12345678"),
        ("V", "03", "server_room"),
        ("V", "04", "alice"),
    ]);
    let source = Source::new(&[("index.txt", &lines)]);
    let alone = source.read_file("index.txt").expect("an index");
    assert_eq!(alone.kinds, ["index.txt"]);
    assert_eq!(
        users(&alone),
        expected(&[("server_room", true, "3"), ("alice", true, "4")])
    );
    assert_eq!(users(&source.read()), users(&alone));
}

/// As an install script left it that deleted the lines of what it had revoked: the next list lacks them.
#[test]
fn what_easy_rsa_moved_among_the_revoked_is_revoked_although_index_and_list_forgot_it() {
    let pki = Pki::new("CA");
    let source = Source::new(&[
        ("pki/ca.crt", &pki.ca()),
        ("pki/index.txt", &index(&[("V", "03", "alice"), ("R", "04", "carl")])),
        ("pki/crl.pem", &pki.crl(&[4], 2030)),
        ("pki/issued/alice.crt", &pki.issue("alice", 3, CLIENT).pem()),
        (
            "pki/revoked/certs_by_serial/02.crt",
            &pki.issue("alice", 2, CLIENT).pem(),
        ),
        (
            "pki/revoked/certs_by_serial/04.crt",
            &pki.issue("carl", 4, CLIENT).pem(),
        ),
        (
            "pki/revoked/certs_by_serial/05.crt",
            &pki.issue("dora", 5, CLIENT).pem(),
        ),
    ]);
    let found = source.read();
    assert_eq!(
        users(&found),
        expected(&[("alice", true, "3 (2)"), ("carl", false, "(4)"), ("dora", false, "(5)")])
    );
    assert_remarks(
        &found,
        &[
            ("pki/revoked/certs_by_serial/02.crt", "it is taken as revoked"),
            ("pki/revoked/certs_by_serial/05.crt", "it is taken as revoked"),
            ("pki/revoked/certs_by_serial/02.crt", "is not in index.txt"),
            ("pki/revoked/certs_by_serial/05.crt", "is not in index.txt"),
        ],
    );
}
