//! Configuration: precedence, messages, masking.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use vpnmanager_management::cli::Command;
use vpnmanager_management::config::{Config, SERVICE};
use vpnmanager_runtime::process::Stop;

/// Loads the configuration from these flags, variables and this file.
fn load(flags: &[&str], env: &[(&str, &str)], file: Option<&str>) -> Result<Config, Stop> {
    let folder = tempfile::tempdir().expect("a folder");
    if let Some(text) = file {
        std::fs::write(folder.path().join("management-config.json"), text).expect("written");
    }
    let arguments = std::iter::once("vpnmanager-management").chain(flags.iter().copied());
    let env: BTreeMap<String, String> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let cli = SERVICE.parse_from::<Command>(arguments, env, folder.path())?;
    Config::load(&cli)
}

fn usage(result: Result<Config, Stop>) -> String {
    match result {
        Err(Stop::Usage(text)) => text,
        other => panic!("not a usage error: {other:?}"),
    }
}

/// Random, as a key must be.
const RANDOM: &str = "9f2c4b7e1a8d3f605be7c2914d06a8f3";
const KEY: (&str, &str) = ("API_KEY", RANDOM);

#[test]
fn a_file_of_the_first_design_loads_as_it_is() {
    let file = r#"{
      "server_id": "management-server",
      "api_key": "9f2c4b7e1a8d3f605be7c2914d06a8f3",
      "database": {"host": "localhost", "port": 5432, "user": "vpnmanager", "password": "your-password", "dbname": "vpnmanager", "sslmode": "disable"}
    }"#;
    let config = load(&[], &[], Some(file)).expect("valid");
    assert_eq!(config.api_key.expose_secret(), RANDOM);
    assert_eq!(
        config.database.connection_url().expose_secret(),
        "postgres://vpnmanager:your-password@localhost:5432/vpnmanager?sslmode=disable"
    );
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default() {
    let file = r#"{"api_key": "9f2c4b7e1a8d3f605be7c2914d06a8f3", "server_id": "file", "database": {"host": "file", "user": "file"}, "placement": {"replicas": 2}}"#;
    let env = [
        ("SERVER_ID", "env"),
        ("DB_HOST", "env"),
        ("LISTEN", "127.0.0.1:1, [::1]:2"),
    ];
    let config = load(&["-server-id", "flag", "--health-stale-after=1s"], &env, Some(file)).expect("valid");
    assert_eq!(config.server_id, "flag");
    assert_eq!(
        (
            config.database.host.as_str(),
            config.database.user.as_str(),
            config.database.port
        ),
        ("env", "file", 5432)
    );
    assert_eq!(config.listen, ["127.0.0.1:1", "[::1]:2"]);
    assert_eq!((config.placement.replicas, config.health.stale_after.as_secs()), (2, 1));
    assert_eq!(config.database.sslmode, None);
    assert_eq!(config.bus.urls_for_nodes(), ["tls://127.0.0.1:4222"]);
}

#[test]
fn what_is_missing_or_wrong_is_named_with_all_its_places() {
    let missing = usage(load(&[], &[], None));
    assert!(
        missing.contains("API_KEY") && missing.contains("API_KEY_FILE") && missing.contains("\"api_key\""),
        "{missing}"
    );
    let cases = [
        ("SERVER_ID", "a.b", "server_id"),
        ("API_KEY", "with space", "api_key"),
        ("API_KEY", "x", "api_key"),
        ("API_KEY", "change-me", "api_key"),
        ("API_KEY", "your-secret-api-key", "api_key"),
        ("API_KEY", "development-only", "api_key"),
        ("LISTEN", "8080", "listen"),
        ("DATABASE_URL", "mysql://x", "database.url"),
        ("DB_PORT", "none", "database.port"),
        ("DB_PASSWORD", "change-me", "database.password"),
        ("DB_SSLMODE", "maybe", "database.sslmode"),
        ("NATS_URL", "http://x", "bus.url"),
        ("BUS_PUBLIC_URLS", "tls://", "bus.public_urls"),
        ("PLACEMENT_REPLICAS", "0", "placement.replicas"),
        ("PLACEMENT_REPLICAS", "many", "placement.replicas"),
        ("HEALTH_LOST_AFTER", "15s", "health.lost_after"),
        ("HEALTH_STALE_AFTER", "soon", "health.stale_after"),
        ("PKI_CLIENT_VALIDITY", "0s", "pki.client_validity"),
        ("HEALTH_KEEP_HISTORY", "59m", "health.keep_history"),
        ("HEALTH_KEEP_HISTORY", "1000years 1s", "health.keep_history"),
        ("AUDIT_NODE_EVENTS", "0", "audit.node_events"),
        ("AUDIT_NODE_EVENTS", "1000001", "audit.node_events"),
        ("AUDIT_NODE_EVENTS", "-1", "audit.node_events"),
        ("AUDIT_ARCHIVE_AFTER", "23h", "audit.archive_after"),
        ("AUDIT_ARCHIVE_AFTER", "never", "audit.archive_after"),
        ("AUDIT_ARCHIVE_AFTER", "1000years 1s", "audit.archive_after"),
        ("DB_OWNER_USER", "vpnmanager", "database.owner_user"),
        ("DB_OWNER_PASSWORD", "p", "database.owner_password"),
        ("DATABASE_OWNER_URL", "postgres://o@h/d", "database.owner_url"),
        ("DATABASE_OWNER_URL", "mysql://o@h/d", "database.owner_url"),
        ("LOG_FORMAT", "xml", "log.format"),
    ];
    for (variable, value, key) in cases {
        let text = usage(load(&[], &[KEY, (variable, value)], None));
        assert!(
            text.contains(variable) && text.contains(&format!("\"{key}\"")) && text.contains("expected"),
            "{variable}={value}: {text}"
        );
    }
    for variable in ["HEALTH_KEEP_HISTORY", "AUDIT_ARCHIVE_AFTER"] {
        let text = usage(load(&[], &[KEY, (variable, "1000years 1s")], None));
        assert!(text.contains("at most 1000years"), "{text}");
        load(&[], &[KEY, (variable, "1000years")], None).expect("the longest");
    }
    let unknown = usage(load(&[], &[KEY], Some(r#"{"databse": {"host": "x"}}"#)));
    assert!(
        unknown.contains("databse.host") && unknown.contains("database.host"),
        "{unknown}"
    );
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
fn wrong_secrets_are_not_repeated() {
    for (variable, value) in [
        ("API_KEY", "hush hush"),
        ("DATABASE_URL", "mysql://u:hush@h/d"),
        ("DATABASE_OWNER_URL", "mysql://u:hush@h/d"),
    ] {
        let text = usage(load(&[], &[KEY, (variable, value)], None));
        assert!(!text.contains("hush"), "{text}");
    }
}

#[test]
fn the_printed_configuration_masks_secrets() {
    let shown = |env: &[(&str, &str)]| {
        let Err(Stop::Done(text)) = load(&["--print-config"], &[&[KEY], env].concat(), None) else {
            panic!("nothing printed")
        };
        assert!(!text.contains("hush"), "{text}");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    };
    let by_url = shown(&[
        ("DATABASE_URL", "postgres://u:hush@h/d"),
        ("DATABASE_OWNER_URL", "postgres://o:hush@h/d"),
        ("DB_OWNER_PASSWORD", "hush"),
    ]);
    let by_parts = shown(&[("DB_PASSWORD", "hush")]);
    for (shown, pointer) in [
        (&by_url, "/api_key"),
        (&by_url, "/database/url"),
        (&by_url, "/database/owner_url"),
        (&by_url, "/database/owner_password"),
        (&by_parts, "/database/password"),
    ] {
        assert_eq!(
            shown.pointer(pointer).and_then(|value| value.as_str()),
            Some("********"),
            "{pointer}"
        );
    }
    let shown = by_parts;
    assert_eq!(shown["shutdown_timeout"], "10s");
}

#[test]
fn a_secret_may_come_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{RANDOM}\n")).expect("written");
    let config = load(&[], &[("API_KEY_FILE", path.to_str().expect("UTF-8"))], None).expect("valid");
    assert_eq!(config.api_key.expose_secret(), RANDOM);
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
fn the_sample_loads() {
    let sample = SERVICE.sample();
    let config = load(&[], &[], Some(&sample)).expect("valid");
    assert_eq!(config.api_key.expose_secret().len(), 64);
    assert_ne!(SERVICE.sample(), sample, "each sample has a key of its own");
}

#[test]
fn bus_init_takes_flags_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("bus");
    let arguments = [
        "vpnmanager-management",
        "bus-init",
        "--dir",
        dir.to_str().expect("UTF-8"),
        "--listen",
        "127.0.0.1:4999",
    ];
    let cli = SERVICE
        .parse_from::<Command>(arguments, BTreeMap::new(), folder.path())
        .expect("valid");
    let Err(Stop::Done(text)) = Command::run(&cli) else {
        panic!("nothing printed")
    };
    assert!(text.contains("127.0.0.1:4999"), "{text}");
    assert!(dir.join("nats-server.conf").exists());
    let wrong = ["vpnmanager-management", "bus-init", "--listen", "nowhere"];
    let cli = SERVICE
        .parse_from::<Command>(wrong, BTreeMap::new(), folder.path())
        .expect("parsed");
    assert!(matches!(Command::run(&cli), Err(Stop::Usage(_))));
}

#[test]
fn a_weak_key_is_refused_with_the_way_to_make_one() {
    for weak in ["x", "change-me", "hushhushhushhushhushhushhushhushhush"] {
        let text = usage(load(&[], &[("API_KEY", weak)], None));
        assert!(text.contains("openssl rand -hex 32"), "{text}");
        assert!(!text.contains("hush") && !text.contains("change-me"), "{text}");
    }
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
    let (found, _) = url(&[("DB_HOST", "db.example.org"), ("DB_SSLROOTCERT", "/etc/ca of ours.pem")]);
    assert!(
        found.ends_with("?sslmode=verify-full&sslrootcert=%2Fetc%2Fca%20of%20ours.pem"),
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
