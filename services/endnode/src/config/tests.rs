use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use super::*;

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The only one.
    Serve,
}

fn load(flags: &[&str]) -> Result<Config, Stop> {
    let mut args = vec!["vpnmanager-endnode", "--server-id", "node-1"];
    args.extend(flags);
    let cli = SERVICE.parse_from::<Command>(args, BTreeMap::new(), Path::new("/nowhere"));
    Config::load(&cli.expect("a command line"))
}

fn loaded(flags: &[&str]) -> Config {
    load(flags).expect("a configuration")
}

/// What is loaded from a file with this text.
fn loaded_from(text: &str) -> Config {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("endnode-config.json");
    fs::write(&file, text).expect("written");
    loaded(&["--config", &file.display().to_string()])
}

#[test]
fn the_file_of_the_package_adds_metrics_on_loopback_alone() {
    let of_package = loaded_from(include_str!("../../../../deploy/packages/endnode/endnode-config.json"));
    let shown = |config: &Config| serde_json::to_value(config).expect("JSON");
    let mut expected = shown(&loaded(&[]));
    expected["metrics"]["listen"] = serde_json::json!(["127.0.0.1:9471"]);
    assert_eq!(shown(&of_package), expected);
}

fn listeners_of(config: &Config) -> String {
    config.listening().listeners().to_string()
}

#[test]
fn each_listener_has_room_for_as_many_clients() {
    for (flags, capacity) in [
        (&[][..], 1000),
        (&["--listeners", "udp:1194,tcp:443"], 2000),
        (
            &["--listeners", "udp:1194,udp:53,tcp:443", "--openvpn-max-clients", "50"],
            150,
        ),
    ] {
        assert_eq!(loaded(flags).capacity().get(), capacity, "{flags:?}");
    }
}

#[test]
fn more_clients_than_openvpn_starts_with_are_refused() {
    let most = loaded(&["--openvpn-max-clients", "1000000"]);
    assert_eq!(most.openvpn.max_clients.get(), 1_000_000);
    for clients in ["1000001", "16777215", "4294967295"] {
        let refused = load(&["--openvpn-max-clients", clients]).expect_err("too many");
        let said = format!("{refused:?}");
        assert!(
            said.contains("openvpn.max_clients") && said.contains("1 to 1000000"),
            "{said}"
        );
    }
}

#[test]
fn pings_are_each_second_where_nothing_is_said() {
    let keepalive = |flags: &[&str]| loaded(flags).openvpn.keepalive.to_string();
    assert_eq!(keepalive(&[]), "1 7");
    assert_eq!(keepalive(&["--openvpn-keepalive", "10 60"]), "10 60");
}

#[test]
fn a_timeout_that_one_lost_ping_would_reach_is_refused() {
    let args = [
        "vpnmanager-endnode",
        "--server-id",
        "node-1",
        "--openvpn-keepalive",
        "10 20",
    ];
    let cli = SERVICE.parse_from::<Command>(args, BTreeMap::new(), Path::new("/nowhere"));
    let refused = Config::load(&cli.expect("a command line")).expect_err("too short");
    let said = format!("{refused:?}");
    assert!(said.contains("openvpn.keepalive") && said.contains("10 20"), "{said}");
}

#[test]
fn listeners_can_be_had_with_all_else_as_the_sample_has_it() {
    let mut sample: Value = serde_json::from_str(&SERVICE.sample()).expect("JSON");
    assert_eq!(
        (&sample["public_port"], &sample["protocol"]),
        (&json!(1194), &json!("udp"))
    );
    sample["listeners"] = json!(["udp:53", "tcp:443:8443"]);

    let config = loaded_from(&sample.to_string());

    assert_eq!(listeners_of(&config), "udp:53,tcp:443");
}

#[test]
fn what_is_printed_of_a_node_loads_as_the_same_node() {
    for (flags, listeners) in [
        (&["--listeners", "tcp:443:8443,udp:53"][..], "udp:53,tcp:443"),
        (&["--public-port", "443", "--protocol", "tcp"], "tcp:443"),
        (&[], "udp:1194"),
    ] {
        let Err(Stop::Done(printed)) = load(&[flags, &["--print-config"]].concat()) else {
            panic!("nothing is printed")
        };

        let config = loaded_from(&printed);

        assert_eq!(listeners_of(&config), listeners, "{printed}");
        assert_eq!(config.listening(), loaded(flags).listening(), "{flags:?}");
    }
}

#[test]
fn what_else_is_said_of_where_clients_connect_contradicts_listeners_unless_it_is_the_default() {
    let both = &["--listeners", "udp:53,tcp:443"][..];
    for (flags, contradicts) in [
        (&["--public-port", "1194", "--protocol", "udp"][..], None),
        (
            &["--public-port", "1195"],
            Some("public_port is given too (from flag --public-port)"),
        ),
        (&["--protocol", "tcp"], Some("protocol is given too")),
        (&["--openvpn-port", "1194"], Some("openvpn.port is given too")),
    ] {
        let refusal = match load(&[both, flags].concat()) {
            Ok(_) => None,
            Err(Stop::Usage(text)) => Some(text),
            Err(other) => panic!("{other:?}"),
        };
        let said = contradicts.is_some_and(|reason| refusal.as_deref().is_some_and(|text| text.contains(reason)));
        assert_eq!(
            (refusal.is_some(), said),
            (contradicts.is_some(), contradicts.is_some()),
            "{refusal:?}"
        );
    }
}

#[test]
fn an_old_server_goes_with_every_mode_but_that_in_which_the_operator_runs_the_new_one() {
    let old = &["--old-server-conf", "/etc/openvpn/server.conf"][..];
    for (mode, is_taken) in [("managed", true), ("none", true), ("external", false)] {
        let flags = [old, &["--openvpn-mode", mode, "--old-server", "managed"]].concat();
        let outcome = load(&flags);
        assert_eq!(outcome.is_ok(), is_taken, "{mode}");
        match outcome {
            Ok(config) => assert_eq!(config.openvpn.old_server, OldServerMode::Managed),
            Err(refused) => assert!(
                format!("{refused:?}").contains("openvpn.old_server_conf"),
                "{refused:?}"
            ),
        }
    }
    let none = loaded(&[]);
    assert_eq!(
        (none.openvpn.old_server_conf, none.openvpn.old_server),
        (None, OldServerMode::External)
    );
}

#[test]
fn the_local_api_is_served_in_the_clear_within_the_machine_alone_unless_somebody_said_so() {
    let Err(Stop::Usage(said)) = load(&["--listen", "0.0.0.0:8081"]) else {
        panic!("it was taken");
    };
    assert!(
        said.contains("ALLOW_PLAIN_HTTP") && said.contains("TLS_CERT_FILE"),
        "{said}"
    );
    for more in [
        &["--allow-plain-http", "true"][..],
        &["--tls-cert-file", "/tls.crt", "--tls-key-file", "/tls.key"],
    ] {
        loaded(&[&["--listen", "0.0.0.0:8081"][..], more].concat());
    }
    assert!(matches!(load(&["--tls-cert-file", "/tls.crt"]), Err(Stop::Usage(_))));
}
