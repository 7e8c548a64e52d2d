//! Configuration: precedence, messages, masking.

mod database;

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
fn the_file_of_the_package_lacks_the_key_and_adds_metrics_on_loopback_alone() {
    let file = include_str!("../../../../../deploy/packages/management/management-config.json");
    assert!(usage(load(&[], &[], Some(file))).contains("api_key is missing"));
    let of_package = load(&[], &[KEY], Some(file)).expect("valid");
    let of_nothing = load(&[], &[KEY], None).expect("valid");
    let shown = |config: &Config| serde_json::to_value(config).expect("JSON");
    let mut expected = shown(&of_nothing);
    expected["metrics"]["listen"] = serde_json::json!(["127.0.0.1:9470"]);
    assert_eq!(shown(&of_package), expected);
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
    assert_eq!(config.bus.copies, 1);
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
        ("TRUSTED_PROXIES", "proxy.example.org", "trusted_proxies"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, 10.1.2.3/16", "trusted_proxies"),
        ("TRUSTED_PROXIES", "0.0.0.0/0", "trusted_proxies"),
        ("PUBLIC_URL", "vpn.example.com", "public_url"),
        ("PUBLIC_URL", "https://vpn.example.com/?a=b", "public_url"),
        ("PUBLIC_URLS", "https://vpn.example.com,vpn.example.com", "public_urls"),
        ("TLS_ON_LOOPBACK", "perhaps", "tls_on_loopback"),
        ("ALLOW_PLAIN_HTTP", "perhaps", "tls.allow_plain_http"),
        ("FLEET_NAME", "a\"b", "fleet_name"),
        ("FLEET_NAME", "a\nup x", "fleet_name"),
        ("DATABASE_URL", "mysql://x", "database.url"),
        ("DB_PORT", "none", "database.port"),
        ("DB_PASSWORD", "change-me", "database.password"),
        ("DB_SSLMODE", "maybe", "database.sslmode"),
        ("NATS_URL", "http://x", "bus.url"),
        ("BUS_PUBLIC_URLS", "tls://", "bus.public_urls"),
        ("BUS_COPIES", "2", "bus.copies"),
        ("PLACEMENT_REPLICAS", "0", "placement.replicas"),
        ("PLACEMENT_REPLICAS", "many", "placement.replicas"),
        ("HEALTH_LOST_AFTER", "15s", "health.lost_after"),
        ("HEALTH_STALE_AFTER", "soon", "health.stale_after"),
        ("HEALTH_STALE_AFTER", "0s", "health.stale_after"),
        ("HEALTH_LOST_AFTER", "1000years 1s", "health.lost_after"),
        ("HEALTH_MAX_CLOCK_SKEW", "0s", "health.max_clock_skew"),
        ("HEALTH_MAX_CLOCK_SKEW", "25h", "health.max_clock_skew"),
        ("HEALTH_REHOME_AFTER", "0s", "health.rehome_after"),
        ("HEALTH_REHOME_AFTER", "1001years", "health.rehome_after"),
        ("HEALTH_STORAGE_PROBE", "0s", "health.storage_probe"),
        ("SHUTDOWN_TIMEOUT", "0s", "shutdown_timeout"),
        ("SHUTDOWN_TIMEOUT", "25h", "shutdown_timeout"),
        ("PKI_CLIENT_VALIDITY", "1001years", "pki.client_validity"),
        ("PKI_CLIENT_VALIDITY", "0s", "pki.client_validity"),
        ("PKI_NODE_VALIDITY", "1001years", "pki.node_validity"),
        ("PKI_NODE_VALIDITY", "59m", "pki.node_validity"),
        ("HEALTH_KEEP_HISTORY", "59m", "health.keep_history"),
        ("HEALTH_KEEP_HISTORY", "1000years 1s", "health.keep_history"),
        ("SESSION_HISTORY", "23h", "history.sessions"),
        ("SESSION_HISTORY", "10years 1s", "history.sessions"),
        ("TRAFFIC_HISTORY", "23h", "history.traffic"),
        ("TRAFFIC_HISTORY", "10years 1s", "history.traffic"),
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
        assert!(text.contains("to 1000years"), "{text}");
        load(&[], &[KEY, (variable, "1000years")], None).expect("the longest");
    }
    let unknown = usage(load(&[], &[KEY], Some(r#"{"databse": {"host": "x"}}"#)));
    assert!(
        unknown.contains("databse.host") && unknown.contains("database.host"),
        "{unknown}"
    );
}

/// What is said of serving with these variables; `None`: nothing.
fn refusal_to_serve(env: &[(&str, &str)]) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let env = env.iter().chain([&KEY]);
    let env = env.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let cli = SERVICE
        .parse_from::<Command>(["vpnmanager-management"], env.collect(), folder.path())
        .expect("a command line");
    let config = Config::load(&cli).expect("valid");
    config.check_https(&cli).err().map(|error| error.to_string())
}

#[test]
fn nothing_is_served_in_the_clear_to_other_machines_unless_somebody_said_so() {
    let certificate = [("TLS_CERT_FILE", "/tls.crt"), ("TLS_KEY_FILE", "/tls.key")];
    for env in [
        &[("LISTEN", "127.0.0.1:8080,[::1]:8080,localhost:1")][..],
        &[("ALLOW_PLAIN_HTTP", "true")],
        &[("PUBLIC_URLS", "https://vpn.example.com:8080")],
        &[("PUBLIC_URL", "https://vpn.example.com:8080")],
        &[
            ("TLS_ON_LOOPBACK", "true"),
            ("PUBLIC_URLS", "https://vpn.example.com"),
            ("LISTEN", "127.0.0.1:1"),
        ],
        &certificate,
    ] {
        assert_eq!(refusal_to_serve(env), None, "{env:?}");
    }
    for (env, key) in [
        (&[][..], "listen"),
        (&[("LISTEN", "127.0.0.1:1,192.0.2.7:8080")], "listen"),
        (&[("LISTEN", "management:8080")], "listen"),
        (&[("PUBLIC_URLS", "http://vpn.example.com")], "listen"),
        (&certificate[..1], "tls.key_file"),
        (&certificate[1..], "tls.cert_file"),
        (
            &[("TLS_ON_LOOPBACK", "true"), ("LISTEN", "127.0.0.1:1")],
            "tls_on_loopback",
        ),
    ] {
        let said = refusal_to_serve(env).unwrap_or_default();
        assert!(said.contains(&format!("\"{key}\"")), "{env:?}: {said}");
    }
    let said = refusal_to_serve(&[]).unwrap_or_default();
    for way in ["PUBLIC_URLS", "TLS_CERT_FILE", "ALLOW_PLAIN_HTTP=true", "127.0.0.1"] {
        assert!(said.contains(way), "{said}");
    }
}

#[test]
fn management_makes_itself_a_certificate_for_the_hosts_of_its_public_urls() {
    let with = |env: &[(&str, &str)]| load(&[], &[&[KEY], env].concat(), None).expect("valid");
    let urls = (
        "PUBLIC_URLS",
        "https://VPN.example.com:8080,http://plain.example.com,https://[2001:db8::7]/vpn",
    );
    let config = with(&[urls, ("PUBLIC_URL", "https://users.example.com")]);
    let local = ["localhost", "127.0.0.1", "::1"];
    assert_eq!(
        config.https_names(),
        [&["users.example.com", "vpn.example.com", "2001:db8::7"][..], &local].concat()
    );
    assert!(config.makes_own_certificate());
    assert_eq!(
        config.public_url().map(|url| url.with("/p")).as_deref(),
        Some("https://users.example.com/p")
    );
    assert_eq!(
        with(&[urls]).public_url().map(|url| url.with("")).as_deref(),
        Some("https://VPN.example.com:8080")
    );
    for other in [("LISTEN", "127.0.0.1:8080"), ("ALLOW_PLAIN_HTTP", "true")] {
        assert!(!with(&[urls, other]).makes_own_certificate(), "{other:?}");
    }
}

#[test]
fn proxies_are_addresses_and_prefixes_and_a_wrong_one_is_quoted() {
    let trusts = |config: &Config, address: &str| config.trusted_proxies.contains(address.parse().expect("an address"));
    let nobody = load(&[], &[KEY], None).expect("valid");
    assert!(!trusts(&nobody, "127.0.0.1"));
    let by_variable = load(&[], &[KEY, ("TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::7")], None).expect("valid");
    let file = r#"{"trusted_proxies": ["10.0.0.0/8", "2001:db8::7"]}"#;
    let by_file = load(&[], &[KEY], Some(file)).expect("valid");
    assert_eq!(by_variable.trusted_proxies, by_file.trusted_proxies);
    for (address, trusted) in [
        ("10.255.0.1", true),
        ("::ffff:10.0.0.1", true),
        ("11.0.0.1", false),
        ("2001:db8::7", true),
        ("2001:db8::8", false),
    ] {
        assert_eq!(trusts(&by_file, address), trusted, "{address}");
    }
    let wrong = usage(load(&[], &[KEY, ("TRUSTED_PROXIES", "192.0.2.7,10.1.2.3/16")], None));
    assert!(
        wrong.contains("\"10.1.2.3/16\" has bits set after its first 16: write 10.1.0.0/16"),
        "{wrong}"
    );
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
