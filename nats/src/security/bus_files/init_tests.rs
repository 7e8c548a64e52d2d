use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use chrono::Utc;
use nkeys::KeyPair;

use super::*;
use crate::{
    ids::NodeId,
    permissions::inbox_prefix,
    security::{
        bus_files::open::BusFiles, claims::AccountClaims, jwt::Claims, keys::NodePublicKey,
        node_credentials::issue_node_jwt,
    },
    topology::COMMANDS,
};

fn asked(dir: &Path) -> BusInit {
    BusInit {
        dir: dir.join("bus"),
        listen: "0.0.0.0:4222".parse().unwrap(),
        monitor: "127.0.0.1:8222".parse().unwrap(),
        store_dir: dir.join("store"),
        hosts: vec!["bus.example.org".into(), "198.18.1.1".into()],
        allow_plaintext: false,
        max_store: BusInit::DEFAULT_MAX_STORE,
    }
}

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_new_bus_is_private_and_complete() {
    let root = tempfile::tempdir().unwrap();
    let summary = asked(root.path()).run().unwrap();

    assert!(summary.created);
    let dir = root.path().join("bus");
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let files = contents(&dir);
    let mut expected: Vec<_> = names::KEPT.into_iter().chain(names::RENDERED).collect();
    expected.sort_unstable();
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    for name in files.keys() {
        assert_eq!(
            fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777,
            0o600,
            "{name}"
        );
    }
    let files = BusFiles::new(&dir);
    files.node_authority().unwrap();
    files.management_credentials().unwrap();
    files.system_credentials().unwrap();
    files.operator_signing_key().unwrap();
}

#[test]
fn a_second_run_keeps_every_key_and_renders_what_was_asked() {
    let root = tempfile::tempdir().unwrap();
    let first = asked(root.path()).run().unwrap();
    let before = contents(&first.dir);

    let second = BusInit {
        allow_plaintext: true,
        max_store: 1 << 30,
        listen: "127.0.0.1:5222".parse().unwrap(),
        ..asked(root.path())
    };
    let second = second.run().unwrap();

    assert!(!second.created);
    assert_eq!(second.operator, first.operator);
    let after = contents(&first.dir);
    for name in names::KEPT {
        assert_eq!(after[name], before[name], "{name} was replaced");
    }
    let config = String::from_utf8(after[names::SERVER_CONFIG].clone()).unwrap();
    assert!(
        config.contains("listen: \"127.0.0.1:5222\"")
            && config.contains("logfile_size_limit: 64MB")
            && config.contains("\nmax_control_line: 2048\n")
            && config.contains("\nmax_closed_clients: 1000\n")
            && config.contains("allow_non_tls: true")
            && config.contains("max_file: 1073741824,"),
        "{config}"
    );
    assert!(!String::from_utf8_lossy(&before[names::SERVER_CONFIG]).contains("allow_non_tls"));
    assert_ne!(after[names::SERVER_CERTIFICATE], before[names::SERVER_CERTIFICATE]);
}

/// The names and addresses in the certificate of the server, as its parser writes them.
fn certified(dir: &Path) -> Vec<String> {
    let pem = fs::read(dir.join(names::SERVER_CERTIFICATE)).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    names.value.general_names.iter().map(ToString::to_string).collect()
}

#[test]
fn servers_of_a_cluster_can_call_each_other_with_the_certificate() {
    let root = tempfile::tempdir().unwrap();
    let dir = asked(root.path()).run().unwrap().dir;
    let pem = fs::read(dir.join(names::SERVER_CERTIFICATE)).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.any, "{usage:?}");
}

#[test]
fn a_run_that_names_no_host_keeps_those_of_the_certificate() {
    let root = tempfile::tempdir().unwrap();
    let first = asked(root.path()).run().unwrap();
    let before = certified(&first.dir);
    assert!(before.contains(&"DNSName(bus.example.org)".to_owned()), "{before:?}");
    assert_eq!(
        first.certified,
        ["localhost", "127.0.0.1", "::1", "bus.example.org", "198.18.1.1"]
    );

    let second = BusInit {
        hosts: Vec::new(),
        ..asked(root.path())
    };
    let second = second.run().unwrap();

    assert_eq!(certified(&first.dir), before);
    assert_eq!((&second.certified, &second.lost), (&first.certified, &Vec::new()));
    let report = second.to_string();
    assert!(
        report.contains("certificate for    localhost, 127.0.0.1, ::1, bus.example.org, 198.18.1.1\n")
            && report.contains("at most 100 GiB in ")
            && report.contains(root.path().join("store").to_str().unwrap()),
        "{report}"
    );
    assert!(!report.contains("no longer for"), "{report}");
}

#[test]
fn hosts_that_are_named_replace_the_old_ones_and_the_lost_are_told() {
    let root = tempfile::tempdir().unwrap();
    let first = asked(root.path()).run().unwrap();

    let second = BusInit {
        hosts: vec!["new.example.org".into(), "Bus.Example.org".into()],
        listen: "198.18.1.2:4222".parse().unwrap(),
        ..asked(root.path())
    };
    let second = second.run().unwrap();

    assert_eq!(
        second.certified,
        [
            "localhost",
            "127.0.0.1",
            "::1",
            "198.18.1.2",
            "new.example.org",
            "Bus.Example.org"
        ]
    );
    assert_eq!(second.lost, ["198.18.1.1"]);
    let report = second.to_string();
    assert!(report.contains("no longer for      198.18.1.1: "), "{report}");
    let names = certified(&first.dir);
    assert!(names.contains(&"DNSName(new.example.org)".to_owned()), "{names:?}");
    assert!(!names.contains(&"DNSName(bus.example.org)".to_owned()), "{names:?}");
}

#[test]
fn a_certificate_whose_names_cannot_be_kept_is_replaced_only_for_names_that_are_given() {
    let root = tempfile::tempdir().unwrap();
    let summary = asked(root.path()).run().unwrap();
    let damaged = summary.dir.join(names::SERVER_CERTIFICATE);
    fs::write(&damaged, "no certificate").unwrap();

    let nameless = BusInit {
        hosts: Vec::new(),
        ..asked(root.path())
    };
    let refused = nameless.run().unwrap_err();
    assert!(refused.to_string().contains("--host"), "{refused}");
    assert_eq!(fs::read_to_string(&damaged).unwrap(), "no certificate");

    let named = asked(root.path()).run().unwrap();
    assert!(named.lost.is_empty(), "{:?}", named.lost);
    assert_eq!(certified(&summary.dir).len(), 5);
}

#[test]
fn a_run_needs_no_operator_key_and_asks_for_the_key_of_the_ca() {
    let root = tempfile::tempdir().unwrap();
    let first = asked(root.path()).run().unwrap();
    fs::remove_file(first.dir.join(names::OPERATOR_KEY)).unwrap();

    let second = asked(root.path()).run().unwrap();

    assert_eq!((second.created, &second.operator), (false, &first.operator));
    assert!(!first.dir.join(names::OPERATOR_KEY).exists());
    fs::remove_file(first.dir.join(names::CA_KEY)).unwrap();
    let before = contents(&first.dir);

    let refused = asked(root.path()).run().unwrap_err();

    assert!(matches!(refused, BusInitError::CaKeyAway { .. }), "{refused}");
    let told = refused.to_string();
    assert!(told.contains("ca.key") && told.contains("for this run"), "{told}");
    assert_eq!(contents(&first.dir), before);
}

#[test]
fn an_account_of_an_earlier_release_gets_what_was_added_since() {
    let root = tempfile::tempdir().unwrap();
    let summary = asked(root.path()).run().unwrap();
    let path = summary.dir.join(names::VPN_JWT);
    let operator = BusFiles::new(&summary.dir).operator_signing_key().unwrap();
    let account = || Claims::<AccountClaims>::verify_signature(&fs::read_to_string(&path).unwrap()).unwrap();
    let fresh = account();
    let mut old = fresh.clone();
    for export in &mut old.body.exports {
        export.response_threshold = None;
    }
    fs::write(&path, old.sign(&operator).unwrap()).unwrap();
    let before = contents(&summary.dir);

    asked(root.path()).run().unwrap();

    let renewed = account();
    assert_eq!((&renewed.subject, &renewed.body), (&fresh.subject, &fresh.body));
    assert!(renewed.issued_at > fresh.issued_at, "the server would keep the old one");
    let after = contents(&summary.dir);
    for name in names::KEPT.into_iter().filter(|name| *name != names::VPN_JWT) {
        assert_eq!(after[name], before[name], "{name} was replaced");
    }
    let config = String::from_utf8(after[names::SERVER_CONFIG].clone()).unwrap();
    assert!(config.contains(&fs::read_to_string(&path).unwrap()), "{config}");
}

#[test]
fn the_longest_lines_of_nodes_and_management_are_ones_that_the_server_takes() {
    let root = tempfile::tempdir().unwrap();
    let files = BusFiles::new(asked(root.path()).run().unwrap().dir);
    let id: NodeId = "n".repeat(NodeId::MAX_LENGTH).parse().unwrap();
    let key = NodePublicKey::of(&KeyPair::new_user()).unwrap();
    let node = issue_node_jwt(&id, &key, Utc::now(), &files.node_authority().unwrap()).unwrap();
    let management = files.management_credentials().unwrap().jwt;
    // CONNECT: beside the token a signature, a name, and what the client says of itself.
    for token in [node, management] {
        let line = token.len() + 86 + 128 + 400;
        assert!(line < server_config::MAX_CONTROL_LINE, "{line}");
    }
    let most = u64::MAX;
    let settled = format!("$JS.ACK.{COMMANDS}.{id}.{most}.{most}.{most}.{most}.{most}");
    let reply = format!("{}.{}", inbox_prefix(&id), "x".repeat(64));
    let line = settled.len() + reply.len();
    assert!(line < server_config::MAX_CONTROL_LINE / 2, "{line}");
}

#[test]
fn a_part_of_a_bus_is_refused_and_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let summary = asked(root.path()).run().unwrap();
    fs::remove_file(summary.dir.join(names::SERVER_KEY)).unwrap();
    let before = contents(&summary.dir);

    let refused = asked(root.path()).run().unwrap_err().to_string();

    assert!(
        refused.contains("server.key missing") && !refused.contains("empty"),
        "{refused}"
    );
    assert_eq!(contents(&summary.dir), before);
    for name in names::RENDERED {
        fs::remove_file(summary.dir.join(name)).unwrap();
    }
    let interrupted = asked(root.path()).run().unwrap_err().to_string();
    assert!(interrupted.contains("the first run was interrupted"), "{interrupted}");
}

#[test]
fn keys_of_two_fleets_do_not_mix() {
    let root = tempfile::tempdir().unwrap();
    let ours = asked(&root.path().join("ours")).run().unwrap();
    let theirs = asked(&root.path().join("theirs")).run().unwrap();
    fs::copy(theirs.dir.join(names::NODES_JWT), ours.dir.join(names::NODES_JWT)).unwrap();
    assert!(asked(&root.path().join("ours")).run().is_err());
    assert!(BusFiles::new(&ours.dir).node_authority().is_err());
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let open_monitor = BusInit {
        monitor: "0.0.0.0:8222".parse().unwrap(),
        ..asked(root.path())
    };
    assert!(matches!(
        open_monitor.run(),
        Err(BusInitError::MonitorNotLoopback { .. })
    ));
    for host in ["", "a b", "a..b", "http://x", "ä.example"] {
        let bad_host = BusInit {
            hosts: vec![host.into()],
            ..asked(root.path())
        };
        assert!(matches!(bad_host.run(), Err(BusInitError::Host { .. })), "{host:?}");
    }
    assert!(!root.path().join("bus").exists());
}

#[test]
fn a_folder_that_others_use_is_left_alone_and_an_empty_one_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("bus");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.join("passwd"), "").unwrap();
    assert!(matches!(
        asked(root.path()).run(),
        Err(BusInitError::SharedFolder { .. })
    ));
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o755);

    fs::remove_file(dir.join("passwd")).unwrap();
    asked(root.path()).run().unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_summary_and_the_debug_output_hold_no_secret() {
    let root = tempfile::tempdir().unwrap();
    let summary = asked(root.path()).run().unwrap();
    let shown = format!(
        "{summary} {summary:?} {:?}",
        BusFiles::new(&summary.dir).node_authority().unwrap()
    );
    for name in [
        names::OPERATOR_KEY,
        names::OPERATOR_SIGNING_KEY,
        names::NODES_SIGNING_KEY,
    ] {
        let seed = fs::read_to_string(summary.dir.join(name)).unwrap();
        assert!(!shown.contains(seed.trim()), "{name}");
    }
}
