//! Secrets lie where only their owner reads them, and in no log.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::json;
use vpnmanager_testbed::stack::{Part, StackOptions};

use super::{profile, site::Site};

/// What makes a file a secret, wherever it is.
const MARKS: [&str; 6] = [
    "PRIVATE KEY-----",
    "OpenVPN tls-crypt-v2 client key",
    "OpenVPN tls-crypt-v2 server key",
    "BEGIN NATS USER JWT",
    "NKEY SEED",
    "\"bus_jwt\"",
];

/// All files below a folder with their contents, lossily read.
fn files(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        // What is not a file or folder, or went away meanwhile, holds nothing.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            found.extend(files(&path));
        } else if kind.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            found.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found
}

/// A line of a PEM block that is in no other: the third, past headers that all keys share.
fn line_of(pem: &str) -> String {
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    lines[lines.len() / 2].to_owned()
}

/// Whatever must not be told, by what it is called here.
fn secrets(site: &Site, profiles: &[String], token: &str) -> BTreeMap<String, String> {
    let state = site.stack.state();
    let mut secrets = BTreeMap::from([
        ("the API key".to_owned(), state.api_key.clone()),
        ("an unused join token".to_owned(), token.to_owned()),
        ("a private key".to_owned(), "PRIVATE KEY".to_owned()),
    ]);
    for node in site.stack.nodes() {
        let id = node.id();
        let used = fs::read_to_string(state.dir.join(format!("work/{id}.token"))).unwrap();
        secrets.insert(format!("the join token of {id}"), used.trim().to_owned());
        let identity = site.identity(node.number());
        secrets.insert(
            format!("the JWT of {id}"),
            identity["bus_jwt"].as_str().unwrap().to_owned(),
        );
        let fleet = identity["tls_crypt_v2_key"].as_str().unwrap();
        secrets.insert("the fleet's tls-crypt-v2 key".to_owned(), line_of(fleet));
        let seed = fs::read_to_string(node.dir().join("node.nk")).unwrap();
        secrets.insert(format!("the bus key of {id}"), seed.trim().to_owned());
    }
    for (number, text) in profiles.iter().enumerate() {
        for name in ["key", "tls-crypt-v2"] {
            secrets.insert(
                format!("the {name} of user {number}"),
                line_of(profile::block(text, name)),
            );
        }
    }
    secrets
}

/// Everything that logs something, at the level where most is said.
async fn busy_site() -> (Site, Vec<String>, String) {
    let talkative = || vec![("LOG_LEVEL".to_owned(), "debug".to_owned())];
    let mut site = Site::start(StackOptions {
        management_env: talkative(),
        node_env: talkative(),
        ..StackOptions::default()
    })
    .await;
    let api = site.stack.api();
    let token = api.join_token("node-9").await.unwrap();
    let mut profiles = Vec::new();
    for username in ["alice", "bob"] {
        profiles.push(site.create(username).await);
    }
    if site.stack.network().is_ok() {
        site.visit(&profiles[0]).await.connection.close().await;
    }
    let local = site.stack.node(1).unwrap().api();
    local
        .post("/api/users", &json!({ "username": "carol" }))
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    for key in [Some("guessed-secret-key"), None] {
        assert_eq!(api.with_key(key).get("/api/users").await.unwrap().status, 401);
        assert_eq!(local.with_key(key).get("/api/users").await.unwrap().status, 401);
    }
    let broken = json!({ "server_id": "node-9", "join_token": token, "bus_public_key": "nonsense", "csr": "nonsense" });
    assert!(
        (400..500).contains(
            &api.with_key(None)
                .post("/api/endnodes/register", &broken)
                .await
                .unwrap()
                .status
        )
    );
    site.stack.kill_part(Part::Nats).await.unwrap();
    site.stack.start_part(Part::Nats).await.unwrap();
    for part in [Part::Management, Part::Node(1)] {
        site.stack.stop_part(part).await.unwrap();
        site.stack.start_part(part).await.unwrap();
    }
    site.delete("bob").await;
    (site, profiles, token)
}

#[tokio::test]
async fn secrets_are_private_and_in_no_log() {
    let (site, profiles, token) = busy_site().await;
    let state = site.stack.state();
    let all = files(&state.dir);

    let mut private = 0;
    for (path, text) in &all {
        let is_secret = MARKS.iter().any(|mark| text.contains(mark)) || text.contains(&state.api_key);
        let is_secret = is_secret || path.to_string_lossy().contains("journal.db");
        if !is_secret {
            continue;
        }
        private += 1;
        // A file that is gone again is nobody's to read.
        let mode = fs::metadata(path).map_or(0o600, |file| file.permissions().mode() & 0o777);
        assert_eq!(mode, 0o600, "{} is {mode:o}", path.display());
    }
    let expected = [
        "identity.json",
        "node.nk",
        "node.creds",
        "node.key",
        "tls-crypt-v2.key",
        "journal.db",
        ".ovpn",
    ];
    for name in expected
        .into_iter()
        .chain(["management.creds", "operator.nk", "ca.key", "server.key"])
    {
        let here = |(path, _): &&(PathBuf, String)| path.to_string_lossy().ends_with(name);
        let (path, _) = all.iter().find(here).unwrap_or_else(|| panic!("no {name} found"));
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    eprintln!("measured: {private} of {} files hold secrets, all 0600", all.len());

    let secrets = secrets(&site, &profiles, &token);
    let logs: Vec<&(PathBuf, String)> = all
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|e| e == "log"))
        .collect();
    assert!(logs.len() >= 4, "{logs:?}");
    for (path, text) in logs {
        for (name, secret) in &secrets {
            assert!(!text.contains(secret.as_str()), "{name} is in {}", path.display());
        }
        assert!(
            !text.contains("guessed-secret-key"),
            "a key that somebody tried is in {}",
            path.display()
        );
    }
}

#[tokio::test]
async fn openvpn_holds_nothing_of_the_agents_environment() {
    let Some(site) = Site::with_tunnels("secrets::openvpn_holds_nothing_of_the_agents_environment").await else {
        return;
    };
    let environment = |part| {
        let process = site.stack.process(part).expect("it runs");
        fs::read_to_string(format!("/proc/{}/environ", process.pid)).unwrap()
    };
    assert!(
        environment(Part::Node(1)).contains("API_KEY="),
        "the agent has a key to lose"
    );

    let of_openvpn = environment(Part::Openvpn(1));

    let names: Vec<&str> = of_openvpn
        .split('\0')
        .filter_map(|entry| entry.split('=').next())
        .collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(names, ["PATH"]);
}

#[tokio::test]
async fn openvpn_holds_no_descriptor_that_its_agent_was_started_with() {
    // All that is started from here inherits it.
    let file = std::env::current_exe().unwrap();
    let left_open = fs::File::open(&file).unwrap();
    fcntl_setfd(&left_open, FdFlags::empty()).unwrap();
    let Some(site) = Site::with_tunnels("secrets::openvpn_holds_no_descriptor_that_its_agent_was_started_with").await
    else {
        return;
    };
    let holds_it = |part| {
        let process = site.stack.process(part).expect("it runs");
        let open = fs::read_dir(format!("/proc/{}/fd", process.pid)).unwrap();
        let mut open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        open.any(|path| path == file)
    };

    assert!(holds_it(Part::Node(1)), "the agent has one to hand on");
    assert!(!holds_it(Part::Openvpn(1)));
}

#[tokio::test]
async fn a_users_key_is_neither_on_the_bus_nor_in_the_database() {
    let mut site = Site::without_tunnels(1).await;
    let text = site.create("alice").await;
    for part in [Part::Management, Part::Node(1), Part::Nats, Part::Postgres] {
        site.stack.stop_part(part).await.unwrap();
    }
    let dir = site.stack.state().dir.clone();
    let secrets = [
        line_of(profile::block(&text, "key")),
        line_of(profile::block(&text, "tls-crypt-v2")),
    ];
    for store in ["postgres", "jetstream", "pki", "bus", "work/management"] {
        let files = files(&dir.join(store));
        assert!(!files.is_empty() || store == "work/management", "nothing in {store}");
        for (path, content) in files {
            for secret in &secrets {
                assert!(
                    !content.contains(secret.as_str()),
                    "a user's key is in {}",
                    path.display()
                );
            }
        }
    }
}
