//! Tokens that no longer let a node in.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::{
    api::Api,
    binaries, ports,
    process::{Log, Process, Spec},
    wait,
};

use super::site::{SOON, Site};

/// An agent that wants to become a part of the fleet, with its local API.
fn newcomer(site: &Site, id: &str, token: &str) -> (Process, Api) {
    let state = site.stack.state();
    let work = state.dir.join("work").join(id);
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
    (
        Process::spawn(&spec).unwrap(),
        Api::new(format!("http://{listen}"), None),
    )
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

async fn is_refused(site: &Site, id: &str, token: &str, because: &str) {
    // An agent of this name may have been refused for the same reason before, and its log goes on.
    let before = log_of(site, id).count(because);
    let (agent, local) = newcomer(site, id, token);
    agent.log().wait_for(because, before + 1, SOON).await.unwrap();
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
    let enrolled = async || {
        let health = local.get("/health").await;
        health.is_ok_and(|answer| answer.body["status"] == "ok")
    };
    wait::until(SOON, "node-7 to be enrolled", enrolled).await.unwrap();

    is_refused(&site, "node-8", &once, "the join token was used already").await;

    let (short, end) = token(&site, &json!({ "ttl": "1s" })).await;
    wait::until(SOON, "the token to expire", async || Utc::now() > end)
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
