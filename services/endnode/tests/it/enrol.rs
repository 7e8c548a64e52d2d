//! Enrolment, and what keeps a node from it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use poem::http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vpnmanager_testbed::{ports, wait};

use crate::{
    agent::{Agent, run},
    fake_management::{DEADLINE, FakeManagement},
};

#[tokio::test]
async fn a_node_keeps_asking_and_enrols_once_with_the_same_keys() {
    let management = FakeManagement::start().await;
    management.script().refusals.extend([
        (StatusCode::SERVICE_UNAVAILABLE, "starting".to_owned()),
        (StatusCode::TOO_MANY_REQUESTS, "slow down".to_owned()),
    ]);
    let mut agent = Agent::new("n1", &management.url());
    agent.start().await;
    agent.in_sync().await;

    let first = management.script().registrations.clone();
    assert_eq!(first.len(), 3);
    assert!(
        first
            .iter()
            .all(|(key, body)| key.is_none() && body["join_token"] == "join-token-of-the-test")
    );
    assert!(
        first
            .iter()
            .all(|(_, body)| body["bus_public_key"] == first[0].1["bus_public_key"])
    );
    assert_eq!(first[0].1["port"], 1194);
    assert_ne!(first[0].1["at"], first[2].1["at"], "a signature is for one try");
    assert!(
        !agent.log().contains("join-token-of-the-test"),
        "the token is in the log"
    );

    agent.kill().await;
    agent.start().await;
    agent.in_sync().await;
    assert_eq!(management.script().registrations.len(), 3, "it enrolled again");
    let creds = fs::read_to_string(agent.dir.join("node.creds")).unwrap();
    assert!(vpnmanager_nats::security::creds::Credentials::parse(&creds).is_ok());
}

#[tokio::test]
async fn a_node_with_several_listeners_enrols_with_the_capacity_of_all() {
    let management = FakeManagement::start().await;
    let mut agent = Agent::new("n1", &management.url());
    agent.env = vec![("LISTENERS", "tcp:443,udp:1194".to_owned())];
    agent.start().await;
    agent.in_sync().await;

    let (_, told) = management.script().registrations.remove(0);

    let of = |field: &str| told[field].as_u64();
    assert_eq!((of("port"), of("capacity")), (Some(1194), Some(2000)));
}

#[tokio::test]
async fn a_management_on_this_machine_is_asked_through_no_proxy() {
    let management = FakeManagement::start().await;
    let mut agent = Agent::new("n1", &management.url());
    let nobody = format!("http://127.0.0.1:{}", ports::free().unwrap());
    agent.env = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"]
        .map(|name| (name, nobody.clone()))
        .into();
    agent.start().await;
    agent.in_sync().await;
    assert_eq!(management.script().registrations.len(), 1);
}

#[tokio::test]
async fn a_refusal_is_said_in_managements_words() {
    let management = FakeManagement::start().await;
    management
        .script()
        .refusals
        .push_back((StatusCode::UNAUTHORIZED, "the join token has expired".to_owned()));
    let mut agent = Agent::new("n1", &management.url());
    agent.start().await;
    let said = || async { agent.log().contains("the join token has expired") };
    wait::until(DEADLINE, "the reason in the log", said).await.unwrap();
    let told = async || {
        let health = agent.get("/health").await.unwrap();
        let detail = health["detail"].as_str().unwrap_or_default().to_owned();
        (health["status"] == "enrolling" && detail.contains("the join token has expired")).then_some(detail)
    };
    let detail = wait::until_some(DEADLINE, "the reason in /health", told).await.unwrap();
    assert!(
        detail.contains("has not enrolled this node yet") && detail.contains("JOIN_TOKEN was made for this node"),
        "{detail}"
    );
    let (status, problem) = agent.call(reqwest::Method::GET, "/api/users", None).await.unwrap();
    assert_eq!(status, 503);
    assert!(
        problem["detail"].as_str().unwrap().contains("not enrolled"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_management_that_redirects_is_said_with_the_url_to_set() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let redirecting = async {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let _request = client.read(&mut [0; 16_384]).await.unwrap();
            let answer = "HTTP/1.1 301 Moved Permanently\r\nLocation: https://vpn.example/api/endnodes/register\r\n\
                          Content-Length: 0\r\nConnection: close\r\n\r\n";
            client.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    let mut agent = Agent::new("n1", &url);
    let told = async {
        agent.start().await;
        let said = async || agent.log().contains("set MANAGEMENT_URL to https://vpn.example (");
        wait::until(DEADLINE, "the URL in the log", said).await.unwrap();
    };
    tokio::select! {
        () = redirecting => {}
        () = told => {}
    }
}

#[tokio::test]
async fn an_identity_from_another_fleet_is_said_clearly_and_kept() {
    let (first, second) = tokio::join!(FakeManagement::start(), FakeManagement::start());
    let mut agent = Agent::new("n1", &first.url());
    agent.start().await;
    agent.in_sync().await;
    agent.kill().await;
    let file = agent.dir.join("identity.json");
    let mut identity: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    identity["bus_urls"] = serde_json::json!([second.tls_url]);
    identity["bus_ca"] = second.files.ca_pem().unwrap().into();
    fs::write(&file, identity.to_string()).unwrap();

    agent.start().await;

    let said = || async { agent.log().contains("belongs to another fleet") };
    wait::until(DEADLINE, "the refusal in the log", said)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));
    assert!(file.exists());
    assert_eq!(agent.get("/health").await.unwrap()["bus_connected"], false);
}

#[test]
fn what_is_missing_or_wrong_is_named_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, error) = run(&[], folder.path());
    assert_eq!(code, Some(2));
    assert!(error.contains("SERVER_ID") && error.contains("server_id"), "{error}");

    let (code, _, error) = run(&["-server-id", "a.b"], folder.path());
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("server_id"), "{error}");
}

#[test]
fn the_sample_and_the_description_need_no_state() {
    let folder = tempfile::tempdir().unwrap();
    let (code, sample, _) = run(&["config-sample"], folder.path());
    assert_eq!(code, Some(0));
    let sample: serde_json::Value = serde_json::from_str(&sample).unwrap();
    assert_eq!(sample["listen"][0], "127.0.0.1:8081");
    let (code, spec, _) = run(&["openapi"], folder.path());
    assert_eq!(code, Some(0));
    assert!(serde_json::from_str::<serde_json::Value>(&spec).is_ok());
    assert!(run(&["openapi", "--yaml"], folder.path()).1.starts_with("components") || code == Some(0));
}

#[test]
fn a_key_that_can_be_guessed_is_refused_with_the_way_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    for weak in ["x", "change-me", "hush-hush-hush"] {
        let (code, _, error) = run(&["--server-id", "n1", "--api-key", weak], folder.path());
        assert_eq!(code, Some(2), "{error}");
        assert!(
            error.contains("api_key") && error.contains("openssl rand -hex 32"),
            "{error}"
        );
        assert!(!error.contains("hush-hush"), "{error}");
    }
}

#[test]
fn a_public_host_that_nobody_can_dial_is_refused_before_a_token_is_spent() {
    let folder = tempfile::tempdir().unwrap();
    let start = |host: &str| {
        run(
            &["--server-id", "n1", "--public-host", host, "--state-dir", "state"],
            folder.path(),
        )
    };
    for host in [
        "0.0.0.0",
        "0",
        "::",
        "::ffff:0.0.0.0",
        "169.254.7.7",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ] {
        let (code, _, error) = start(host);
        assert_eq!(code, Some(2), "{host}: {error}");
        assert!(
            error.contains("PUBLIC_HOST") && error.contains("that clients can dial"),
            "{error}"
        );
    }
    assert!(!folder.path().join("state").exists());
}

#[test]
fn a_network_that_openvpn_cannot_serve_is_refused_before_a_token_is_spent() {
    let folder = tempfile::tempdir().unwrap();
    for network in ["10.0.0.0/8", "10.8.0.0/15", "10.8.0.1/24", "10.8.0.0/30"] {
        let (code, _, error) = run(
            &[
                "--server-id",
                "n1",
                "--openvpn-network",
                network,
                "--state-dir",
                "state",
            ],
            folder.path(),
        );
        assert_eq!(code, Some(2), "{network}: {error}");
        assert!(
            error.contains("openvpn.network") && error.contains("16 to 29"),
            "{error}"
        );
    }
    assert!(!folder.path().join("state").exists());
}

#[test]
fn listeners_that_cannot_be_had_are_refused_before_a_token_is_spent() {
    let folder = tempfile::tempdir().unwrap();
    let both = ["--listeners", "udp:1194,tcp:443"];
    let cases: [(&[&str], &[&str]); 12] = [
        (
            &["--listeners", "udp:1194,icmp:443"],
            &["listeners is wrong", "\"icmp:443\" is no listener", "LISTENERS"],
        ),
        (&["--listeners", ","], &["listeners is wrong", "at least one listener"]),
        (
            &["--listeners", "udp:1,udp:2,udp:3,tcp:4,tcp:5"],
            &["listeners is wrong", "at most 4"],
        ),
        (
            &["--listeners", "tcp:443,udp:1194,tcp:443"],
            &["listeners is wrong", "tcp:443 is named twice"],
        ),
        (
            &["--listeners", "tcp:443:8443,tcp:8443"],
            &["listeners is wrong", "cannot listen twice on tcp 8443"],
        ),
        (
            &[both[0], both[1], "--public-port", "1195"],
            &[
                "listeners is wrong",
                "public_port is given too (from flag --public-port)",
            ],
        ),
        (&[both[0], both[1], "--protocol", "tcp"], &["protocol is given too"]),
        (
            &[both[0], both[1], "--openvpn-port", "1194"],
            &["openvpn.port is given too"],
        ),
        (
            &[both[0], both[1], "--openvpn-mode", "external"],
            &[
                "listeners is wrong",
                "there are 2, and in the mode external an agent looks after one",
            ],
        ),
        (
            &[both[0], both[1], "--openvpn-network", "10.8.0.0/29"],
            &[
                "openvpn.network is wrong",
                "10.8.0.0/29 is too small for 2 listeners",
                "28 or shorter",
            ],
        ),
        (
            &[
                "--listeners",
                "udp:1194,udp:53,tcp:443",
                "--openvpn-network",
                "10.8.0.0/28",
            ],
            &["openvpn.network is wrong", "27 or shorter"],
        ),
        (
            &[both[0], both[1], "--openvpn-network6", "fd00:8::/112"],
            &[
                "openvpn.network6 is wrong",
                "fd00:8::/112 is too small",
                "111 or shorter",
            ],
        ),
    ];
    for (args, expected) in cases {
        let mut all = vec!["--server-id", "n1", "--state-dir", "state"];
        all.extend(args);
        let (code, _, error) = run(&all, folder.path());
        assert_eq!(code, Some(2), "{args:?}: {error}");
        for part in expected {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
    assert!(!folder.path().join("state").exists());
}

#[test]
fn listeners_are_shown_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (
            &["--listeners", "tcp:443:8443, udp:1194"][..],
            serde_json::json!(["udp:1194", "tcp:443:8443"]),
        ),
        (
            &["--public-port", "443", "--protocol", "tcp"][..],
            serde_json::Value::Null,
        ),
    ] {
        let mut all = vec!["--server-id", "n1", "--print-config"];
        all.extend(args);
        let (code, config, error) = run(&all, folder.path());
        assert_eq!(code, Some(0), "{error}");
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["listeners"], expected);
    }
}

#[test]
fn a_pace_that_floods_or_flaps_and_a_stop_without_time_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value, reason) in [
        ("--heartbeat-interval", "0s", "it must be 100ms to 1m"),
        ("--heartbeat-interval", "99ms", "it must be 100ms to 1m"),
        ("--heartbeat-interval", "1h", "it must be 100ms to 1m"),
        ("--shutdown-timeout", "0s", "it must be 1s to 10m"),
        ("--shutdown-timeout", "11m", "it must be 1s to 10m"),
    ] {
        let (code, _, error) = run(
            &["--server-id", "n1", flag, value, "--state-dir", "state"],
            folder.path(),
        );
        assert_eq!(code, Some(2), "{flag} {value}: {error}");
        let key = flag.trim_start_matches('-').replace('-', "_");
        assert!(error.contains(&key) && error.contains(reason), "{error}");
    }
    for (flag, value) in [("--heartbeat-interval", "1m"), ("--shutdown-timeout", "1s")] {
        let (code, _, error) = run(&["--server-id", "n1", flag, value, "--print-config"], folder.path());
        assert_eq!(code, Some(0), "{error}");
    }
    assert!(!folder.path().join("state").exists());
}

/// A program that says that it is this release of OpenVPN, in a folder that OpenVPN's account may pass through.
fn openvpn_that_says(folder: &Path, release: &str) -> PathBuf {
    fs::set_permissions(folder, Permissions::from_mode(0o711)).unwrap();
    let program = folder.join("openvpn");
    let text = format!("#!/bin/sh\necho 'OpenVPN {release} x86_64-pc-linux-gnu [SSL (OpenSSL)]'\nexit 1\n");
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    program
}

#[tokio::test]
async fn an_openvpn_that_cannot_be_used_is_refused_before_a_token_is_spent() {
    let management = FakeManagement::start().await;
    let folder = tempfile::tempdir().unwrap();
    let old = openvpn_that_says(folder.path(), "2.4.12");
    for (program, reason) in [
        (old, "OpenVPN 2.4 is too old"),
        (folder.path().join("missing"), "No such file or directory"),
    ] {
        let (url, listen) = (management.url(), format!("127.0.0.1:{}", ports::free().unwrap()));
        let dir = folder.path().to_owned();
        let agent = tokio::task::spawn_blocking(move || {
            let program = program.to_str().unwrap();
            let mut args = vec!["--server-id", "n1", "--state-dir", "state", "--listen", &listen];
            args.extend(["--management-url", &url, "--join-token", "join-token-of-the-test"]);
            args.extend(["--openvpn-binary", program]);
            run(&args, &dir)
        });

        let (code, _, error) = agent.await.unwrap();

        assert_eq!(code, Some(1), "{error}");
        assert!(
            error.contains("does not enrol: install OpenVPN 2.5 or newer") && error.contains(reason),
            "{error}"
        );
    }
    assert!(management.script().registrations.is_empty());
    assert!(!folder.path().join("state/identity.json").exists());
}

#[tokio::test]
async fn an_enrolled_node_starts_without_its_openvpn_and_says_that_it_is_down() {
    let management = FakeManagement::start().await;
    let mut agent = Agent::new("n1", &management.url());
    agent.start().await;
    agent.in_sync().await;
    agent.kill().await;
    let folder = agent.dir.parent().unwrap().to_owned();
    fs::set_permissions(&folder, Permissions::from_mode(0o711)).unwrap();
    agent.env = vec![
        ("OPENVPN_MODE", "managed".to_owned()),
        ("OPENVPN_BINARY", folder.join("missing").display().to_string()),
        ("OPENVPN_RUN_DIR", folder.join("run").display().to_string()),
    ];

    agent.start().await;

    let says = async || {
        let openvpn = agent.get("/health").await.unwrap_or_default()["openvpn"].clone();
        let detail = openvpn["detail"].as_str().unwrap_or_default();
        let is_said = openvpn["state"] == "down" && detail.starts_with("cannot run /");
        is_said.then_some(()).ok_or(openvpn)
    };
    wait::until_ok(DEADLINE, "OpenVPN to be down", says).await.unwrap();
    assert_eq!(management.script().registrations.len(), 1);
}
