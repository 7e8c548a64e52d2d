//! Tokens that no longer let a node in.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::{
    api::Api,
    binaries, ports,
    process::{Log, Process, Spec},
    stack::Part,
    wait,
};

use super::site::{Site, nodes::agent_when};

/// An agent that wants to become a part of the fleet, with its local API.
fn newcomer(site: &Site, id: &str, token: &str) -> (Process, Api) {
    newcomer_with(site, id, token, &[])
}

fn newcomer_with(site: &Site, id: &str, token: &str, env: &[(&str, &str)]) -> (Process, Api) {
    let state = site.stack.state();
    let work = work_of(site, id);
    std::fs::create_dir_all(&work).unwrap();
    let listen = format!("127.0.0.1:{}", ports::free().unwrap());
    let spec = Spec::new(id, binaries::endnode().unwrap(), &work, log_of(site, id).path())
        .env("SERVER_ID", id)
        .env("MANAGEMENT_URL", state.management_url())
        .env("JOIN_TOKEN", token)
        .env("STATE_DIR", work.join("state"))
        .env("LISTEN", &listen)
        .env("OPENVPN_MODE", "none")
        .env("PUBLIC_HOST", "127.0.0.1");
    let spec = env.iter().fold(spec, |spec, (name, value)| spec.env(name, *value));
    (
        Process::spawn(&spec).unwrap(),
        Api::new(format!("http://{listen}"), None),
    )
}

fn work_of(site: &Site, id: &str) -> PathBuf {
    site.stack.state().dir.join("work").join(id)
}

fn log_of(site: &Site, id: &str) -> Log {
    Log::at(site.stack.state().dir.join(format!("logs/{id}.log")))
}

async fn token(site: &Site, wish: &Value) -> (String, DateTime<Utc>) {
    let made = site
        .stack
        .api()
        .post("/api/join-tokens", wish)
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    let end = made.body["expires_at"].as_str().unwrap().parse().unwrap();
    (made.body["token"].as_str().unwrap().to_owned(), end)
}

async fn is_enrolled(local: &Api) {
    agent_when(local, "the agent to be enrolled", |health| health["status"] == "ok").await;
}

async fn is_refused(site: &Site, id: &str, token: &str, because: &str) {
    // An agent of this name may have been refused for the same reason before, and its log goes on.
    let before = log_of(site, id).count(because);
    let (agent, local) = newcomer(site, id, token);
    agent.log().wait_for(because, before + 1, wait::SOON).await.unwrap();
    assert!(agent.alive(), "the agent gave up");
    let health = local.get("/health").await.unwrap().expect(200).unwrap();
    assert_eq!(health.body["status"], "enrolling", "{}", health.text);
    assert_eq!(site.stack.api().endnode(id).await.unwrap().status, 404);
    assert!(!agent.log().contains(token), "the token is in the log");
    agent.kill().await;
}

#[tokio::test]
async fn a_token_lets_in_one_node_once_and_in_time() {
    let site = Site::without_tunnels(0).await;
    let (once, _) = token(&site, &json!({})).await;
    let (agent, local) = newcomer(&site, "node-7", &once);
    is_enrolled(&local).await;

    is_refused(&site, "node-8", &once, "the join token was used already").await;

    let (short, end) = token(&site, &json!({ "ttl": "1s" })).await;
    wait::until(wait::SOON, "the token to expire", async || Utc::now() > end)
        .await
        .unwrap();
    is_refused(&site, "node-8", &short, "the join token has expired").await;

    let (bound, _) = token(&site, &json!({ "server_id": "node-9" })).await;
    is_refused(&site, "node-8", &bound, "the join token is not valid").await;
    is_refused(
        &site,
        "node-8",
        "vpnjoin-aaaaaaaaaaaaaaaa",
        "the join token is not valid",
    )
    .await;

    assert!(agent.alive());
    site.create("alice").await;
}

#[tokio::test]
async fn an_agent_that_died_before_it_had_the_answer_enrols_with_the_same_token() {
    let site = Site::without_tunnels(0).await;
    let (once, _) = token(&site, &json!({})).await;
    let (agent, local) = newcomer(&site, "node-7", &once);
    is_enrolled(&local).await;
    let before = site.stack.api().endnode("node-7").await.unwrap();
    agent.kill().await;
    // What an agent has that was killed after management's commit and before it wrote the answer down.
    let state = work_of(&site, "node-7").join("state");
    std::fs::remove_file(state.join("identity.json")).unwrap();

    let (agent, local) = newcomer(&site, "node-7", &once);
    is_enrolled(&local).await;
    let after = site.stack.api().endnode("node-7").await.unwrap();
    assert_eq!(before.body["bus_public_key"], after.body["bus_public_key"]);
    assert!(agent.alive());
    agent.kill().await;

    // With other keys it is another node.
    std::fs::remove_dir_all(&state).unwrap();
    let (agent, _) = newcomer(&site, "node-7", &once);
    agent
        .log()
        .wait_for("the join token was used already", 1, wait::SOON)
        .await
        .unwrap();
    agent.kill().await;
}

#[tokio::test]
async fn an_agent_that_clients_could_not_dial_is_told_to_set_public_host() {
    let site = Site::without_tunnels(0).await;
    let (token, _) = token(&site, &json!({})).await;
    // Management sees the address of this machine, as it would see that of a proxy.
    let (agent, _) = newcomer_with(&site, "node-7", &token, &[("PUBLIC_HOST", "")]);
    let said = "the request came from 127.0.0.1, which clients elsewhere cannot dial. Set PUBLIC_HOST on the node";
    agent.log().wait_for(said, 1, wait::SOON).await.unwrap();
    agent.kill().await;
    assert_eq!(site.stack.api().endnode("node-7").await.unwrap().status, 404);

    // The token is still good. An address of this machine is taken when it is meant, and said to be one.
    let (agent, local) = newcomer(&site, "node-7", &token);
    is_enrolled(&local).await;
    assert!(agent.alive());
    let warned = "The host of a node leads to the client itself";
    site.stack
        .log(Part::Management)
        .wait_for(warned, 1, wait::SOON)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_whose_clock_is_wrong_says_so() {
    let site = Site::without_tunnels(0).await;
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let Some(library) = libraries.find(|library| library.is_file()) else {
        eprintln!("skipped: there is no libfaketime here");
        return;
    };
    let (token, _) = token(&site, &json!({})).await;
    let clock = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME", "-600s"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let (agent, _) = newcomer_with(&site, "node-7", &token, &clock);
    let said = "behind management's clock, and 5m are allowed: set the clock of the server";
    agent.log().wait_for(said, 1, wait::SOON).await.unwrap();
    agent.kill().await;
    let (agent, local) = newcomer(&site, "node-7", &token);
    is_enrolled(&local).await;
    assert!(agent.alive());
}
