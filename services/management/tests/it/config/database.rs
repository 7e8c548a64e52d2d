//! How the database is reached.

use std::io::{self, ErrorKind};
use std::path::Path;

use sea_orm::{DbErr, RuntimeErr, sqlx};
use secrecy::ExposeSecret as _;
use vpnmanager_management::pki::Pki;

use super::{KEY, load, usage};

/// A file with a CA.
fn ca_in(folder: &Path) -> String {
    let pki = Pki::load_or_create(&folder.join("pki")).expect("an authority");
    let path = folder.join("ca of ours.pem");
    std::fs::write(&path, pki.ca_pem()).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn the_owner_of_the_tables_is_another_role_at_the_same_place() {
    let owner_url = |env: &[(&str, &str)]| {
        let config = load(&[], &[&[KEY], env].concat(), None).expect("valid");
        let url = config.database.owner_connection_url();
        url.map(|url| url.expose_secret().to_owned())
    };
    assert_eq!(owner_url(&[]), None);
    assert_eq!(owner_url(&[("DATABASE_URL", "postgres://u@h/d")]), None);
    let parts = [
        ("DB_HOST", "db"),
        ("DB_OWNER_USER", "owner"),
        ("DB_OWNER_PASSWORD", "p/w"),
    ];
    assert_eq!(
        owner_url(&parts).expect("an owner"),
        "postgres://owner:p%2Fw@db:5432/vpnmanager?sslmode=verify-full"
    );
    let urls = [
        ("DATABASE_URL", "postgres://u@h/d"),
        ("DATABASE_OWNER_URL", "postgres://o@h/d"),
    ];
    assert_eq!(
        owner_url(&urls).expect("an owner"),
        "postgres://o@h/d?sslmode=verify-full"
    );

    let same = [
        ("DATABASE_URL", "postgres://u@h/d"),
        ("DATABASE_OWNER_URL", "postgres://u:hush@h/d"),
    ];
    let both = [("DATABASE_URL", "postgres://u@h/d"), ("DB_OWNER_USER", "o")];
    for (wrong, named) in [(same, "DATABASE_OWNER_URL"), (both, "DB_OWNER_USER")] {
        let text = usage(load(&[], &[&[KEY], &wrong[..]].concat(), None));
        assert!(text.contains(named) && !text.contains("hush"), "{text}");
    }
}

#[test]
fn odd_characters_survive_in_the_connection_url() {
    let env = [
        KEY,
        ("DB_PASSWORD", "p@ss/w?rd#%"),
        ("DB_HOST", "/var/run/postgresql"),
        ("DB_NAME", "a b"),
    ];
    let url = load(&[], &env, None).expect("valid").database.connection_url();
    let expected = "postgres://vpnmanager:p%40ss%2Fw%3Frd%23%25@localhost:5432/a%20b?sslmode=prefer&host=%2Fvar%2Frun%2Fpostgresql";
    assert_eq!(url.expose_secret(), expected);
    let url = load(&[], &[KEY, ("DB_HOST", "::1")], None)
        .expect("valid")
        .database
        .connection_url();
    assert!(
        url.expose_secret()
            .ends_with("@localhost:5432/vpnmanager?sslmode=prefer&host=%3A%3A1")
    );
}

#[test]
fn a_database_elsewhere_is_verified_unless_the_operator_says_otherwise() {
    let url = |env: &[(&str, &str)]| {
        let env: Vec<_> = [KEY].iter().chain(env).copied().collect();
        let config = load(&[], &env, None).expect("valid");
        let url = config.database.connection_url().expose_secret().to_owned();
        (url, config.database.verifies_by_default())
    };
    for here in [
        "localhost",
        "LOCALHOST",
        "127.0.0.1",
        "127.8.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "/run/postgresql",
    ] {
        let (url, verifies) = url(&[("DB_HOST", here)]);
        assert!(url.contains("sslmode=prefer") && !verifies, "{here}: {url}");
    }
    for there in [
        "db.example.org",
        "10.0.0.5",
        "2001:db8::1",
        "localhost.example.org",
        "0.0.0.0",
    ] {
        let (found, verifies) = url(&[("DB_HOST", there)]);
        assert!(found.contains("sslmode=verify-full") && verifies, "{there}: {found}");
        for word in ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] {
            let (found, verifies) = url(&[("DB_HOST", there), ("DB_SSLMODE", word)]);
            assert!(
                found.contains(&format!("sslmode={word}")) && !verifies,
                "{there} {word}: {found}"
            );
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ca = ca_in(folder.path());
    let (found, _) = url(&[("DB_HOST", "db.example.org"), ("DB_SSLROOTCERT", ca.as_str())]);
    assert!(
        found.contains("?sslmode=verify-full&sslrootcert=%2F") && found.ends_with("%2Fca%20of%20ours.pem"),
        "{found}"
    );

    for (given, expected) in [
        (
            "postgres://u@db.example.org/d",
            "postgres://u@db.example.org/d?sslmode=verify-full",
        ),
        (
            "postgres://u@db.example.org/d?application_name=a",
            "postgres://u@db.example.org/d?application_name=a&sslmode=verify-full",
        ),
        (
            "postgres://u@[2001:db8::1]/d",
            "postgres://u@[2001:db8::1]/d?sslmode=verify-full",
        ),
        (
            "postgres://u@localhost/d?host=db.example.org",
            "postgres://u@localhost/d?host=db.example.org&sslmode=verify-full",
        ),
        (
            "postgres://u@db.example.org/d?sslmode=disable",
            "postgres://u@db.example.org/d?sslmode=disable",
        ),
        (
            "postgres://u@db.example.org/d?ssl-mode=prefer",
            "postgres://u@db.example.org/d?ssl-mode=prefer",
        ),
        ("postgres://u@localhost/d", "postgres://u@localhost/d"),
        ("postgres://u@[::1]:5433/d", "postgres://u@[::1]:5433/d"),
        (
            "postgres://u@localhost/d?host=/run/postgresql",
            "postgres://u@localhost/d?host=/run/postgresql",
        ),
    ] {
        let (found, verifies) = url(&[("DATABASE_URL", given)]);
        assert_eq!((found.as_str(), verifies), (expected, given != expected));
    }
}

#[test]
fn certificates_are_spoken_of_only_where_tls_fails() {
    let said = |host: &str, cause: sqlx::Error| {
        let config = load(&[], &[KEY, ("DB_HOST", host)], None).expect("valid");
        let error = DbErr::Conn(RuntimeErr::SqlxError(cause.into()));
        config.database.connecting_failed(&error)
    };
    let untrusted = || io::Error::new(ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer");
    for cause in [
        sqlx::Error::Tls("server does not support TLS".into()),
        sqlx::Error::Io(untrusted()),
    ] {
        let said = said("db.example.org", cause);
        assert!(
            said.contains("certificate") && said.contains("DB_SSLROOTCERT"),
            "{said}"
        );
    }
    for cause in [
        sqlx::Error::Io(ErrorKind::ConnectionRefused.into()),
        sqlx::Error::Io(ErrorKind::TimedOut.into()),
        sqlx::Error::Protocol("password authentication failed".to_owned()),
    ] {
        assert_eq!(said("db.example.org", cause), "connecting to PostgreSQL failed");
    }
    let here = said("localhost", sqlx::Error::Io(untrusted()));
    assert_eq!(here, "connecting to PostgreSQL failed");
}

/// The documents say that they have no effect then; so nothing in them can be wrong.
#[test]
fn beside_database_url_no_part_of_it_is_even_read() {
    let url = "postgres://u:p@db.example.org/vpn?sslmode=disable";
    let parts = [
        ("DB_HOST", ""),
        ("DB_PORT", "tcp://10.0.0.7:5432"),
        ("DB_USER", ""),
        ("DB_PASSWORD_FILE", "/nowhere/password"),
        ("DB_NAME", ""),
        ("DB_SSLMODE", "maybe"),
        ("DB_SSLROOTCERT", "/nowhere/ca.pem"),
    ];
    let env = [&[KEY, ("DATABASE_URL", url)], parts.as_slice()].concat();

    let config = load(&[], &env, None).expect("valid");

    assert_eq!(config.database.connection_url().expose_secret(), url);
    assert_eq!(config.database.port, 5432);
}

/// Between programs of one machine it is a trial; anywhere else it opens the database to whoever reaches the port.
#[test]
fn a_password_that_everybody_knows_is_refused_for_a_database_elsewhere() {
    let there = ("DB_HOST", "db.example.org");
    let cases: [&[(&str, &str)]; 11] = [
        &[there, ("DB_PASSWORD", "changeme")],
        &[there, ("DB_PASSWORD", "development-only")],
        &[there, ("DB_PASSWORD", "Postgres1")],
        &[there, ("DB_OWNER_USER", "owner"), ("DB_OWNER_PASSWORD", "secret")],
        &[("DATABASE_URL", "postgres://u:password@db.example.org/d")],
        &[("DATABASE_URL", "postgres://u:change%2Dme@db.example.org/d")],
        &[("DATABASE_URL", "postgres://u@db.example.org/d?password=secret")],
        &[("DATABASE_URL", "postgres://u:long@localhost/d?host=db&password=secret")],
        &[
            ("DATABASE_URL", "postgres://u:zq9x@db.example.org/d"),
            ("DATABASE_OWNER_URL", "postgres://o:your_password@db.example.org/d"),
        ],
        // It was the one of a sample: whoever left it there forgot it, also on one machine.
        &[("DB_PASSWORD", "change-me")],
        &[("DATABASE_URL", "postgres://u:change-me@localhost/d")],
    ];
    for case in cases {
        let text = usage(load(&[], &[&[KEY], case].concat(), None));
        assert!(
            text.contains("everybody knows") && text.contains("ALTER ROLE"),
            "{case:?}: {text}"
        );
    }
    for ((variable, value), known) in [
        (("DB_PASSWORD", "your_password"), Some("database.password")),
        (
            ("DATABASE_URL", "postgres://u:secret@127.0.0.1/d"),
            Some("database.url"),
        ),
        (("DATABASE_URL", "postgres://u@127.0.0.1/d"), None),
        (("DB_PASSWORD", "zq9x-0f7a"), None),
    ] {
        let config = load(&[], &[KEY, (variable, value)], None).expect("a trial on one machine");
        assert_eq!(config.database.known_passwords(), Vec::from_iter(known), "{value}");
    }
}

/// It would be asked of the name service for half a minute, and the name is a part of the password.
#[test]
fn a_database_url_whose_password_is_not_encoded_is_refused_with_what_to_do() {
    for url in [
        "postgres://vpn:12/x@db/vpn",
        "postgres://vpn:p@ss/w0rd@db/vpn",
        "postgres://vpn:/x@db/vpn",
        "postgres://vpn:12?x@db/vpn",
        "postgres://vpn:12#x@db/vpn",
        "postgres://vpn:pa/ss@db/vpn",
    ] {
        let text = usage(load(&[], &[KEY, ("DATABASE_URL", url)], None));
        assert!(text.contains("%2F") && text.contains("%40"), "{url}: {text}");
        let (_, password) = url.split_once("vpn:").expect("a password");
        let password = password.split("@db").next().expect("a password");
        assert!(!text.contains(password), "{url}: {text}");
    }
    for url in [
        "postgres://vpn:12%2Fx%40@db/vpn",
        "postgres://db/vpn?user=a@b&password=x@y",
        "postgres:///vpn?host=/run/postgresql",
    ] {
        load(&[], &[KEY, ("DATABASE_URL", url)], None).expect("valid");
    }
}

#[test]
fn a_database_url_is_refused_for_the_part_that_is_wrong() {
    for (url, named) in [
        ("postgres://u:hush@h1:5432,h2:5432/d", "several hosts"),
        ("postgres://u:hush@h1,h2/d", "several hosts"),
        ("postgres://u:hush@h/d?host=h1,h2", "several hosts"),
        ("postgres://u:hush@h/d?port=5432,5433", "several hosts"),
        ("postgres://u:hush@h/d?sslmode=no-verify", "its sslmode is none of"),
        ("postgres://u:hush@h/d?ssl-mode=maybe", "its sslmode is none of"),
        ("postgres://u:hush@h:54x/d", "its port is not"),
        ("postgres://u:hush@h:70000/d", "its port is not"),
        ("postgres://u:hush@[::1]:0/d", "its port is not"),
        ("postgres://u:hush@h/d?port=%2B5432", "its port is not"),
        ("postgres://u:hush@2001:db8::1/d", "in brackets"),
        ("postgres://u:hush@h/d?hostaddr=h", "its hostaddr is not"),
        (
            "postgres://u:hush@h/d?target_session_attrs=read-write",
            "target_session_attrs is not supported",
        ),
        ("postgres://u:hush#a=b@h/d", "its host ends before the last @"),
    ] {
        let text = usage(load(&[], &[KEY, ("DATABASE_URL", url)], None));
        assert!(text.contains(named), "{url}: {text}");
        assert!(!text.contains("%3A") && !text.contains("hush"), "{url}: {text}");
    }
    let text = usage(load(&[], &[KEY, ("DB_HOST", "h1,h2")], None));
    assert!(text.contains("DB_HOST") && text.contains("several hosts"), "{text}");
    for url in [
        "postgres://u:a,b@h:5432/d",
        "postgres://u:a:b@[2001:db8::1]:5432/d",
        "postgres://u@h/d?sslmode=VERIFY-FULL&port=5433",
        "postgres://u@h:/d",
    ] {
        load(&[], &[KEY, ("DATABASE_URL", url)], None).expect("valid");
    }
}

#[test]
fn a_ca_is_refused_where_no_certificate_is_verified() {
    let there = ("DB_HOST", "db.example.org");
    let ca = ("DB_SSLROOTCERT", "/etc/ca.pem");
    for mode in ["disable", "allow", "prefer", "require"] {
        let text = usage(load(&[], &[KEY, there, ca, ("DB_SSLMODE", mode)], None));
        assert!(
            text.contains(&format!("DB_SSLMODE is {mode}")) && text.contains("set DB_SSLMODE to verify-full"),
            "{text}"
        );
    }
    let here = usage(load(&[], &[KEY, ca], None));
    assert!(here.contains("DB_SSLMODE is prefer"), "{here}");
    for (url, mode) in [
        (
            "postgres://u:hush@h/d?sslmode=require&sslrootcert=/etc/ca.pem",
            "require",
        ),
        ("postgres://u:hush@h/d?ssl-ca=/etc/ca.pem&ssl-mode=Require", "require"),
        ("postgres://u:hush@localhost/d?sslrootcert=/etc/ca.pem", "prefer"),
    ] {
        let text = usage(load(&[], &[KEY, ("DATABASE_URL", url)], None));
        assert!(
            text.contains(&format!("sslmode is {mode}")) && text.contains("set sslmode to verify-full"),
            "{text}"
        );
        assert!(!text.contains("hush"), "{text}");
        let owner = [
            KEY,
            ("DATABASE_URL", "postgres://service@h/d"),
            ("DATABASE_OWNER_URL", url),
        ];
        let text = usage(load(&[], &owner, None));
        assert!(
            text.contains("DATABASE_OWNER_URL") && text.contains("verify-full"),
            "{text}"
        );
    }
}

/// The library would read it at the first connection, and say only that there is no such file.
#[test]
fn a_ca_that_cannot_be_read_is_named_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    std::fs::write(path("empty.pem"), "no certificate\n").expect("written");
    for (name, cause) in [
        ("absent.pem", "No such file or directory"),
        ("empty.pem", "it holds no certificate"),
    ] {
        let ca = path(name);
        let there = ("DB_HOST", "db.example.org");
        let text = usage(load(&[], &[KEY, there, ("DB_SSLROOTCERT", ca.as_str())], None));
        assert!(
            text.contains(&format!("DB_SSLROOTCERT names {ca}")) && text.contains(cause),
            "{text}"
        );
        let url = format!("postgres://u:hush@h/d?sslrootcert={ca}");
        let text = usage(load(&[], &[KEY, ("DATABASE_URL", url.as_str())], None));
        assert!(
            text.contains(&format!("sslrootcert names {ca}")) && text.contains(cause) && !text.contains("hush"),
            "{text}"
        );
    }
}

#[test]
fn system_stands_for_no_file_and_goes_with_the_whole_verification_only() {
    let url = |env: &[(&str, &str)]| {
        let config = load(&[], &[&[KEY], env].concat(), None).expect("valid");
        config.database.connection_url().expose_secret().to_owned()
    };
    let (there, system) = (("DB_HOST", "db.example.org"), ("DB_SSLROOTCERT", "system"));
    assert_eq!(
        url(&[there, system]),
        "postgres://vpnmanager@db.example.org:5432/vpnmanager?sslmode=verify-full"
    );
    for (given, expected) in [
        (
            "postgres://u@h/d?sslrootcert=system",
            "postgres://u@h/d?sslmode=verify-full",
        ),
        (
            "postgres://u@h/d?sslmode=verify-full&sslrootcert=system&application_name=a",
            "postgres://u@h/d?sslmode=verify-full&application_name=a",
        ),
    ] {
        assert_eq!(url(&[("DATABASE_URL", given)]), expected);
    }
    for mode in ["require", "verify-ca"] {
        let text = usage(load(&[], &[KEY, there, system, ("DB_SSLMODE", mode)], None));
        assert!(
            text.contains(&format!("DB_SSLROOTCERT is system and DB_SSLMODE is {mode}")),
            "{text}"
        );
    }
    let given = ("DATABASE_URL", "postgres://u@localhost/d?sslrootcert=system");
    let text = usage(load(&[], &[KEY, given], None));
    assert!(
        text.contains("sslrootcert is system and sslmode is prefer: set sslmode to verify-full"),
        "{text}"
    );
}
