use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cli, Service, Setting, masked};
use crate::process::Stop;

mod credentials;

const SETTINGS: &[Setting] = &[
    Setting::new("server_id", "SERVER_ID", "Name", "letters and digits").default("server-1"),
    Setting::new("api_key", "API_KEY", "First key", "any text")
        .secret()
        .sample("change-me"),
    Setting::new("listen", "LISTEN", "Addresses", "a comma list of host:port")
        .default("0.0.0.0:8080")
        .list(),
    Setting::new(
        "listen_also",
        "LISTEN_ALSO",
        "More of them",
        "a comma list of host:port",
    )
    .list(),
    Setting::new("database.port", "DB_PORT", "Port", "a number from 1 to 65535").default("5432"),
    Setting::new("database.host", "DB_HOST", "Host", "a host name"),
    Setting::new("timeout", "TIMEOUT", "Time", "a duration such as 10s").default("10s"),
    Setting::new("old", "OLD", "Was used once", "anything").ignored(),
];

const SERVICE: Service = Service {
    name: "example",
    version: "1.0.0",
    about: "An example",
    file_name: "example-config.json",
    settings: &[SETTINGS],
};

#[derive(Debug, Deserialize, Serialize)]
struct Config {
    server_id: String,
    #[serde(serialize_with = "masked")]
    api_key: SecretString,
    listen: Vec<String>,
    listen_also: Option<Vec<String>>,
    database: Database,
    #[serde(with = "humantime_serde")]
    timeout: Duration,
}

#[derive(Debug, Deserialize, Serialize)]
struct Database {
    port: u16,
    host: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run it
    Serve,
}

struct Given<'a> {
    args: &'a [&'a str],
    env: &'a [(&'a str, &'a str)],
    file: Option<&'a str>,
}

fn parse(given: &Given<'_>, folder: &Path) -> Result<Cli<Command>, Stop> {
    if let Some(text) = given.file {
        std::fs::write(folder.join("example-config.json"), text).unwrap();
    }
    let env: BTreeMap<String, String> = given
        .env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let args = std::iter::once("example").chain(given.args.iter().copied());
    SERVICE.parse_from(args, env, folder)
}

fn load(given: &Given<'_>) -> Result<Config, Stop> {
    let folder = tempfile::tempdir().unwrap();
    parse(given, folder.path())?.load()
}

fn message(given: &Given<'_>) -> String {
    match load(given).unwrap_err() {
        Stop::Usage(text) | Stop::Done(text) => text,
        Stop::Failed(error) => panic!("{error}"),
    }
}

/// Arguments, environment, file, what is expected.
type Case<'a, Expected> = (&'a [&'a str], &'a [(&'a str, &'a str)], Option<&'a str>, Expected);

const KEY: (&str, &str) = ("API_KEY", "s3cret");

#[test]
fn each_layer_wins_over_those_below() {
    let file = Some(r#"{"server_id": "file", "api_key": "k"}"#);
    let cases: [Case<'_, &str>; 6] = [
        (&["--server-id", "flag"], &[("SERVER_ID", "env")], file, "flag"),
        (&["-server-id", "007"], &[("SERVER_ID", "env")], file, "007"),
        (&["serve", "-server-id=after"], &[], file, "after"),
        (&[], &[("SERVER_ID", "env")], file, "env"),
        (&[], &[("SERVER_ID", "")], file, "file"),
        (&[], &[KEY], None, "server-1"),
    ];
    for (args, env, file, expected) in cases {
        assert_eq!(
            load(&Given { args, env, file }).unwrap().server_id,
            expected,
            "{args:?} {env:?}"
        );
    }
}

#[test]
fn text_becomes_numbers_lists_and_durations() {
    let env = [KEY, ("DB_PORT", "6000"), ("LISTEN", "a:1, b:2"), ("TIMEOUT", "1m 30s")];
    let config = load(&Given {
        args: &[],
        env: &env,
        file: Some(r#"{"database": {"host": null}}"#),
    })
    .unwrap();
    assert_eq!(config.database.port, 6000);
    assert_eq!(config.database.host, None);
    assert_eq!(config.listen, ["a:1", "b:2"]);
    assert_eq!(config.timeout, Duration::from_secs(90));
}

/// What Kubernetes sets for a Service called `db`.
const LINK: (&str, &str) = ("DB_PORT", "tcp://10.0.0.1:5432");

#[test]
fn the_address_of_a_kubernetes_service_is_not_taken_for_a_port() {
    let file = Some(r#"{"database": {"port": 6001}}"#);
    let cases: [Case<'_, u16>; 3] = [
        (&[], &[KEY, LINK], None, 5432),
        (&[], &[KEY, LINK], file, 6001),
        (&["--db-port", "6000"], &[KEY, LINK], file, 6000),
    ];
    for (args, env, file, expected) in cases {
        let config = load(&Given { args, env, file }).unwrap();
        assert_eq!(config.database.port, expected, "{args:?} {file:?}");
    }
    let text = message(&Given {
        args: &["--db-port", LINK.1],
        env: &[KEY],
        file: None,
    });
    assert!(text.contains("flag --db-port"), "{text}");
}

#[test]
fn a_missing_value_names_its_places_and_what_is_expected() {
    let text = message(&Given {
        args: &[],
        env: &[],
        file: None,
    });
    for part in [
        "api_key is missing",
        "API_KEY (or API_KEY_FILE)",
        "key \"api_key\"",
        "--api-key",
        "expected any text",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_wrong_value_names_its_origin_its_places_and_what_is_expected() {
    let cases: [Case<'_, &[&str]>; 4] = [
        (
            &[],
            &[KEY, ("DB_PORT", "many")],
            None,
            &["database.port", "DB_PORT", "--db-port", "many", "1 to 65535"],
        ),
        (
            &["--db-port", "70000"],
            &[KEY],
            None,
            &["database.port", "flag --db-port", "1 to 65535"],
        ),
        (
            &[],
            &[KEY],
            Some(r#"{"timeout": 5}"#),
            &["timeout", "example-config.json", "TIMEOUT", "a duration"],
        ),
        (
            &[],
            &[KEY, ("TIMEOUT", "5 parsecs")],
            None,
            &["timeout is wrong", "environment variable TIMEOUT"],
        ),
    ];
    for (args, env, file, parts) in cases {
        let text = message(&Given { args, env, file });
        for part in parts {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[test]
fn an_item_of_a_list_is_wrong_in_its_list_and_in_no_other_one() {
    for (file, key) in [
        (r#"{"listen": [["a"]]}"#, "listen is wrong"),
        (r#"{"listen_also": [["a"]]}"#, "listen_also is wrong"),
    ] {
        let text = message(&Given {
            args: &[],
            env: &[KEY],
            file: Some(file),
        });
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn the_layer_that_gives_a_value_is_told_and_a_default_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let given = Given {
        args: &["--listen", "a:1"],
        env: &[KEY, ("DB_HOST", "db"), ("LISTEN", "b:1")],
        file: Some(r#"{"timeout": "5s", "database": {"port": null}}"#),
    };
    let cli = parse(&given, folder.path()).unwrap();
    for (key, expected) in [
        ("listen", Some("flag --listen")),
        ("database.host", Some("environment variable DB_HOST")),
        ("database.port", None),
        ("server_id", None),
        ("no_such_setting", None),
    ] {
        assert_eq!(cli.origin(key).unwrap().as_deref(), expected, "{key}");
    }
    let of_file = cli.origin("timeout").unwrap().unwrap();
    assert!(of_file.ends_with("example-config.json"), "{of_file}");
}

#[test]
fn a_variable_in_quotation_marks_is_refused_and_one_in_the_file_is_not() {
    for (variable, value) in [
        ("API_KEY", "\"s3cret\""),
        ("API_KEY", "'s3cret'"),
        ("DB_HOST", "\"db\""),
        ("DB_PORT", "'6000'"),
    ] {
        let text = message(&Given {
            args: &[],
            env: &[(variable, value)],
            file: None,
        });
        assert!(
            text.contains("quotation marks") && text.contains(variable) && !text.contains("s3cret"),
            "{text}"
        );
    }
    let config = load(&Given {
        args: &[],
        env: &[("OLD", "\"x\"")],
        file: Some(r#"{"api_key": "'s3cret'"}"#),
    })
    .unwrap();
    assert_eq!(config.api_key.expose_secret(), "'s3cret'");
}

#[test]
fn unknown_file_keys_are_listed_with_those_expected() {
    let text = message(&Given {
        args: &[],
        env: &[KEY],
        file: Some(r#"{"databse": {"port": 1}, "listen": []}"#),
    });
    assert!(
        text.contains("unknown key in") && text.contains(": databse.port;"),
        "{text}"
    );
    assert!(
        text.contains("server_id, api_key, listen, listen_also, database.port"),
        "{text}"
    );
}

#[test]
fn a_broken_or_absent_file_is_named() {
    let text = message(&Given {
        args: &[],
        env: &[KEY],
        file: Some("{\"listen\":"),
    });
    assert!(text.contains("example-config.json is not valid JSON"), "{text}");
    for (twice, key) in [
        (r#"{"listen": "[::]:1", "listen": "[::]:2"}"#, "listen"),
        (r#"{"db": {"host": "a", "host": "b"}}"#, "db.host"),
        (r#"{"db": {"host": "a"}, "db.host": "b"}"#, "db.host"),
    ] {
        let text = message(&Given {
            args: &[],
            env: &[KEY],
            file: Some(twice),
        });
        assert!(text.contains(&format!("{key} is given more than once in ")), "{text}");
    }
    let text = message(&Given {
        args: &["--config", "nowhere.json"],
        env: &[KEY],
        file: None,
    });
    assert!(
        text.contains("cannot read the configuration file nowhere.json"),
        "{text}"
    );
}

#[test]
fn a_secret_may_come_from_a_file_and_never_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "from-file\n").unwrap();
    let path = path.to_str().unwrap();

    let config = load(&Given {
        args: &[],
        env: &[("API_KEY_FILE", path)],
        file: None,
    })
    .unwrap();
    assert_eq!(config.api_key.expose_secret(), "from-file");

    let both = message(&Given {
        args: &[],
        env: &[KEY, ("API_KEY_FILE", path)],
        file: None,
    });
    assert!(
        both.contains("both the value and its file") && !both.contains("s3cret"),
        "{both}"
    );

    let flag = ["--api-key-file", path];
    assert_eq!(
        load(&Given {
            args: &flag,
            env: &[KEY],
            file: None
        })
        .unwrap()
        .api_key
        .expose_secret(),
        "from-file"
    );

    let absent = message(&Given {
        args: &[],
        env: &[("API_KEY_FILE", "/nonexistent/key")],
        file: None,
    });
    assert!(
        absent.contains("cannot read /nonexistent/key") && absent.contains("API_KEY_FILE"),
        "{absent}"
    );
}

#[test]
fn a_wrong_secret_is_not_quoted() {
    let text = message(&Given {
        args: &[],
        env: &[],
        file: Some(r#"{"api_key": ["s3cret"]}"#),
    });
    assert!(text.contains("api_key is wrong") && !text.contains("s3cret"), "{text}");
}

#[test]
fn print_config_masks_secrets() {
    let text = message(&Given {
        args: &["--print-config"],
        env: &[KEY],
        file: None,
    });
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["api_key"], "********");
    assert_eq!(shown["timeout"], "10s");
    assert_eq!(shown["database"]["port"], 5432);
}

#[test]
fn the_sample_loads_as_it_is() {
    let sample = SERVICE.sample();
    let config = load(&Given {
        args: &[],
        env: &[],
        file: Some(&sample),
    })
    .unwrap();
    assert_eq!(config.api_key.expose_secret(), "change-me");
    assert!(!sample.contains("old"), "{sample}");
}

#[test]
fn help_has_every_flag() {
    let help = SERVICE.help::<Command>();
    for flag in [
        "--server-id",
        "--api-key",
        "--api-key-file",
        "--listen",
        "--db-port",
        "--config",
        "--print-config",
        "serve",
    ] {
        assert!(help.contains(flag), "{flag} in {help}");
    }
}

#[test]
fn settings_without_effect_are_accepted_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let given = Given {
        args: &[],
        env: &[KEY, ("OLD", "x")],
        file: None,
    };
    let cli = parse(&given, folder.path()).unwrap();
    assert_eq!(cli.unused().unwrap(), ["old (from environment variable OLD)"]);
    cli.load::<Config>().unwrap();
}

#[test]
fn a_wrong_flag_is_a_usage_error() {
    assert!(matches!(
        load(&Given {
            args: &["--nonsense"],
            env: &[KEY],
            file: None
        }),
        Err(Stop::Usage(_))
    ));
    assert!(matches!(
        load(&Given {
            args: &["--help"],
            env: &[],
            file: None
        }),
        Err(Stop::Done(_))
    ));
}

#[test]
fn secrets_given_as_flags_are_named_with_what_to_use_instead() {
    let folder = tempfile::tempdir().unwrap();
    let given = |args: &'static [&'static str]| {
        let given = Given {
            args,
            env: &[KEY],
            file: None,
        };
        parse(&given, folder.path()).unwrap().exposed_secrets()
    };
    let named = given(&["-api-key", "s3cret", "--server-id", "s"]);
    assert_eq!(named, ["--api-key (use API_KEY, API_KEY_FILE or --api-key-file)"]);
    assert!(given(&["--api-key-file", "/some/file", "--server-id", "s"]).is_empty());
}
