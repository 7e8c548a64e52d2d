//! Sources of several kinds, of none, and broken ones.

use std::os::unix::fs::symlink;

use rusqlite::Connection;

use super::*;

fn database(source: &Source, name: &str, sql: &str) {
    let connection = Connection::open(source.dir.path().join(name)).expect("opened");
    connection.execute_batch(sql).expect("written");
}

#[test]
fn a_database_a_list_and_an_authority_are_one_source() {
    let pki = Pki::new("CA");
    let source = Source::new(&[
        (
            "more.csv",
            "\u{feff}username;active;expires_at\r\ndora;true;2027-01-02\r\n",
        ),
        ("easy-rsa/pki/ca.crt", &pki.ca()),
        ("easy-rsa/pki/crl.pem", &pki.crl(&[3], 2050)),
        (
            "easy-rsa/pki/index.txt",
            &index(&[
                ("V", "02", "alice"),
                ("V", "03", "bob"),
                ("V", "04", "carl"),
                ("V", "05", "emil"),
            ]),
        ),
    ]);
    database(
        &source,
        "vpn.sqlite3",
        "CREATE TABLE users (username, active, expires_at); INSERT INTO users VALUES \
         ('carl', 0, NULL), ('alice', 1, '2027-05-06 00:00:00'), ('bob', 1, NULL), ('fred', 1, NULL);",
    );
    let found = source.read();
    assert_eq!(found.kinds, ["SQLite", "CSV", "certificate authority"]);
    assert_eq!(
        users(&found),
        expected(&[
            ("carl", false, "4"),
            ("alice", true, "2"),
            ("bob", false, "(3)"),
            ("fred", true, ""),
            ("dora", true, ""),
            ("emil", true, "5"),
        ])
    );
    assert_eq!(
        found.users[1].expires_at.expect("a time").to_rfc3339(),
        "2027-05-06T00:00:00+00:00"
    );
    assert_remarks(
        &found,
        &[
            ("easy-rsa/pki/index.txt:2", "valid here and revoked elsewhere"),
            ("vpn.sqlite3:3", "all certificates of the user are revoked"),
            ("easy-rsa/pki/index.txt:4", "is in no list of users"),
        ],
    );
}

#[test]
fn single_files_are_known_by_what_is_in_them() {
    let source = Source::new(&[
        ("users.csv", "username\nalice\n"),
        ("notes.txt", "username\nalice\n"),
        ("client.conf", "client\nremote vpn.example.com\n"),
        ("users.db", "username\nalice\n"),
        ("names.csv", "name\nalice\n"),
        ("empty.sqlite", ""),
    ]);
    database(
        &source,
        "users",
        "CREATE TABLE users (username); INSERT INTO users VALUES ('alice');",
    );
    for (name, kind) in [("users.csv", "CSV"), ("users", "SQLite")] {
        let found = source.read_file(name).expect(name);
        assert_eq!((found.kinds, found.users.len()), (vec![kind.to_owned()], 1), "{name}");
        assert_eq!(found.users[0].place.file, name);
    }
    for (name, part) in [
        ("notes.txt", "nothing of an OpenVPN server"),
        ("client.conf", "nothing of an OpenVPN server"),
        ("users.db", "users.db is no SQLite database"),
        ("empty.sqlite", "empty.sqlite is no SQLite database"),
        ("names.csv", "names.csv has no column `username`. It has: name"),
        ("lost", "lost failed"),
    ] {
        let refused = source.read_file(name).expect_err(name).to_string();
        assert!(refused.contains(part), "{name}: {refused}");
    }
}

#[test]
fn in_a_folder_what_only_looks_like_a_list_is_left_out_and_what_is_broken_is_not() {
    let source = Source::new(&[
        ("users.csv", "username\nalice\n"),
        ("prices.csv", "a,b\n1,2\n"),
        ("thumbs.db", "no"),
    ]);
    database(&source, "geo.sqlite", "CREATE TABLE cities (name);");
    let found = source.read();
    assert_eq!(users(&found), expected(&[("alice", true, "")]));
    assert_remarks(
        &found,
        &[
            ("geo.sqlite", "has no table `users`"),
            ("thumbs.db", "is no SQLite database"),
            ("prices.csv", "has no column `username`"),
        ],
    );
    source.write("old.db", "SQLite format 3\0 and nothing more");
    let refused = source.try_read();
    assert!(matches!(refused, Err(ReadError::Damaged { .. })), "{refused:?}");
}

#[test]
fn a_folder_of_nothing_and_what_is_no_file_are_refused() {
    let source = Source::new(&[("README", "nothing"), ("ccd/alice", "")]);
    let refused = source.try_read().expect_err("nothing");
    assert!(matches!(refused, ReadError::Unknown { .. }), "{refused:?}");
    let refused = read_at(Path::new("/dev/null"), now()).expect_err("a device");
    assert!(matches!(refused, ReadError::NoFile { .. }), "{refused:?}");
}

#[test]
fn what_links_lead_to_outside_is_left_out_and_said() {
    let outside = Source::new(&[("index.txt", &index(&[("V", "01", "alice")]))]);
    let source = Source::new(&[("keys/serial", "01"), ("list.csv", "username\nbob\n")]);
    symlink(
        outside.dir.path().join("index.txt"),
        source.dir.path().join("keys/index.txt"),
    )
    .expect("a link");
    // As `make-cadir` makes them.
    symlink("/usr/share/easy-rsa/x509-types", source.dir.path().join("x509-types")).expect("a link");
    let found = source.read();
    assert_eq!(users(&found), expected(&[("bob", true, "")]));
    assert_remarks(&found, &[("keys/index.txt", "left out"), ("x509-types", "left out")]);
}

#[test]
fn a_link_to_a_single_file_is_that_file() {
    let source = Source::new(&[("here/users.csv", "username\nalice\n")]);
    symlink("here/users.csv", source.dir.path().join("there")).expect("a link");
    assert_eq!(source.read_file("there").expect("a list").users.len(), 1);
}
