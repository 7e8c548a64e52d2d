//! Whom a node believes to be management, and who needs no key at its own API.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use vpnmanager_nats::{ids::Revision, intents::IntentAnswer};
use vpnmanager_testbed::wait;

use crate::{
    agent::Agent,
    fake_management::{DEADLINE, FakeManagement},
    parts::User,
};

const SECRET: &str = "join-token-of-the-test";

/// A token that names the CA of this management.
fn token_of(management: &FakeManagement) -> String {
    let pair = management.authority.https("127.0.0.1");
    format!("{SECRET}.{}", pair.root_fingerprint().unwrap())
}

#[tokio::test]
async fn a_token_that_names_the_ca_is_told_to_it_and_to_nobody_else() {
    let (right, other) = tokio::join!(FakeManagement::start_secured(), FakeManagement::start_secured());
    let mut agent = Agent::new("n1", &other.url());
    agent.env = vec![("JOIN_TOKEN", token_of(&right))];
    agent.start().await;
    let refused = async || agent.log().contains("the CA that the join token names");
    wait::until(DEADLINE, "the reason in the log", refused).await.unwrap();
    assert_eq!(other.script().registrations.len(), 0, "it was told the token");
    agent.kill().await;

    let mut agent = Agent::new("n2", &right.url());
    agent.env = vec![("JOIN_TOKEN", token_of(&right))];
    agent.start().await;
    agent.in_sync().await;
    let registrations = right.script().registrations.clone();
    assert_eq!(
        registrations[0].1["join_token"], SECRET,
        "the fingerprint is for the node alone"
    );
    assert!(!agent.log().contains(SECRET), "the token is in the log");
}

#[tokio::test]
async fn a_file_of_cas_is_believed_and_without_either_nobody_who_made_his_own() {
    let management = FakeManagement::start_secured().await;
    let mut agent = Agent::new("n1", &management.url());
    agent.start().await;
    let refused = async || agent.log().contains("Not enrolled yet");
    wait::until(DEADLINE, "the refusal in the log", refused).await.unwrap();
    assert_eq!(management.script().registrations.len(), 0);
    agent.kill().await;

    let file = agent.dir.parent().unwrap().join("management-ca.pem");
    fs::write(&file, &management.authority.pem).unwrap();
    agent.env = vec![("MANAGEMENT_CA", file.display().to_string())];
    agent.start().await;
    agent.in_sync().await;
}

#[tokio::test]
async fn nobody_enrols_in_the_clear_at_another_machine() {
    // 192.0.2.1 is nobody's (RFC 5737).
    let agent = Agent::new("n1", "http://192.0.2.1:8080");
    let arguments = [
        "--server-id",
        "n1",
        "--management-url",
        "http://192.0.2.1:8080",
        "--join-token",
        SECRET,
        "--openvpn-mode",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--state-dir",
    ];
    let state = agent.dir.display().to_string();
    let arguments = [&arguments[..], &[state.as_str()]].concat();
    let (code, _, said) = crate::agent::run(&arguments, agent.dir.parent().unwrap());
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("HTTP in the clear to another machine") && said.contains("ALLOW_PLAIN_HTTP=true"),
        "{said}"
    );
}

#[tokio::test]
async fn root_needs_no_key_at_the_socket_of_the_local_api() {
    let management = FakeManagement::start().await;
    let mut agent = Agent::new("n1", &management.url());
    let path = agent.dir.parent().unwrap().join("api.sock");
    agent.env = vec![("API_SOCKET", path.display().to_string())];
    agent.start().await;
    agent.in_sync().await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for (key, status) in [("", "200"), ("X-API-Key: wrong\r\n", "401")] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let request = format!("GET /api/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{key}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await;
        read.expect("answered").unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{key}: {answer}");
    }

    // What a killed agent leaves is no obstacle.
    agent.kill().await;
    assert!(path.exists());
    agent.start().await;
    agent.in_sync().await;
    agent.stop().await;
    assert!(!path.exists());
}

/// The exit code of `users` with the settings of this agent, and what it printed.
async fn users(agent: &Agent, args: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_vpnmanager-endnode"));
    command.arg("users").args(args).env_clear();
    command.envs(agent.env.iter().map(|(name, value)| (*name, value)));
    command.current_dir(agent.dir.parent().unwrap()).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output()).await;
    let output = output.expect("it ends").unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn root_asks_the_agent_for_users_by_its_command_line_without_a_key() {
    let management = FakeManagement::start().await;
    let mut agent = Agent::new("n1", &management.url());
    let path = agent.dir.parent().unwrap().join("api.sock");
    agent.env = vec![("API_SOCKET", path.display().to_string())];
    let (code, said) = users(&agent, &["list"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the agent does not answer at"), "{said}");

    agent.start().await;
    agent.in_sync().await;
    let alice = User::new("alice");
    management.script().intent_answer = Some(IntentAnswer::Accepted {
        user_key: alice.key,
        revision: Revision(1),
    });
    let (code, said) = users(&agent, &["create", "alice"]).await;
    assert_eq!(code, Some(0), "{said}");
    management.send(vec![alice.standby(1)]).await;
    management.ack_of(alice.key, 1).await;

    let (code, said) = users(&agent, &["list"]).await;
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["alice", "applied", "standby"], "{said}");
    let (_, shown) = users(&agent, &["show", "alice", "-o", "json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["username"], &shown["revision"]), (&"alice".into(), &1.into()));

    let (code, said) = users(&agent, &["delete", "alice"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("say --yes"), "{said}");
    let (code, said) = users(&agent, &["delete", "alice", "--yes"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(agent.allowed().is_empty());
    let (code, said) = users(&agent, &["show", "alice"]).await;
    assert_eq!(code, Some(1), "{said}");
}
