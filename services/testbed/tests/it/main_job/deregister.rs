//! A node that leaves the fleet: off the bus at once, its users elsewhere.

use std::{path::Path, time::Instant};

use async_nats::ConnectOptions;
use serde_json::{Value, json};
use vpnmanager_testbed::{api::Api, stack::Stack, wait};

use super::{profile, site::Site};

/// Whether a live connection of this name is on the bus.
async fn is_on_the_bus(stack: &Stack, name: &str) -> bool {
    let monitor = Api::new(stack.state().nats_monitor_url(), None);
    let connections = monitor.get("/connz?limit=1000").await.unwrap();
    let connections = connections.body["connections"].as_array().unwrap().clone();
    connections.iter().any(|connection: &Value| connection["name"] == name)
}

async fn is_let_in(stack: &Stack, creds: &Path) -> bool {
    let options = ConnectOptions::with_credentials_file(creds)
        .await
        .unwrap()
        .max_reconnects(1);
    options.connect(stack.state().nats_url()).await.is_ok()
}

#[tokio::test]
async fn a_deregistered_node_is_off_the_bus_and_its_users_move() {
    let Some(site) = Site::with_tunnels("deregister").await else {
        return;
    };
    let api = site.stack.api();
    let witness = {
        let body = json!({ "username": "witness", "server_id": "node-1" });
        api.create_user_as(&body, Some(wait::SOON))
            .await
            .unwrap()
            .expect(201)
            .unwrap();
        site.visit(&api.profile("witness").await.unwrap()).await
    };
    let users = ["alice", "bob"];
    for username in users {
        let body = json!({ "username": username, "server_id": "node-2" });
        api.create_user_as(&body, Some(wait::SOON))
            .await
            .unwrap()
            .expect(201)
            .unwrap();
    }
    let old = api.profile("alice").await.unwrap();
    let (staying, leaving) = (site.stack.node(1).unwrap(), site.stack.node(2).unwrap());
    let at_first = staying.namespace().unwrap().address.to_string();
    assert!(is_on_the_bus(&site.stack, "node-2").await);
    assert!(is_let_in(&site.stack, &leaving.creds()).await);

    let began = Instant::now();
    let answer = api.post("/api/endnodes/node-2/deregister", &json!({})).await.unwrap();
    answer.success().unwrap();

    let gone = async || !is_on_the_bus(&site.stack, "node-2").await;
    wait::until(wait::SOON, "node-2's connection to be dropped", gone)
        .await
        .unwrap();
    let took = began.elapsed();
    eprintln!(
        "measured: the node's live connection was gone {} ms after the call began",
        took.as_millis()
    );
    assert!(took < wait::PROMISED_SECOND, "{took:?}");
    assert!(
        !is_let_in(&site.stack, &leaving.creds()).await,
        "the revoked credential is let in"
    );
    assert!(
        is_let_in(&site.stack, &staying.creds()).await,
        "the other node is shut out too"
    );
    assert_eq!(api.endnode("node-2").await.unwrap().status, 404);
    assert_eq!(site.all_synced(wait::SOON).await, users.len() + 1);
    for username in users {
        assert_eq!(api.user(username).await.unwrap().body["server_id"], "node-1");
        let new = api.profile(username).await.unwrap();
        profile::assert_complete(&new, 1);
        assert_eq!(profile::hosts(&new), [at_first.as_str()]);
        site.lets_in(&new).await;
    }
    // What alice has in her hands goes on to work where she is still placed.
    let remotes = profile::remotes(&old);
    let kept = remotes.iter().find(|line| line.contains(&at_first)).unwrap();
    site.lets_in(&profile::with_only(&old, kept)).await;
    assert!(leaving.agent().is_some(), "the agent of the node that left has crashed");
    let actions = api.audit("?action=node_deregistered").await.unwrap();
    assert_eq!(actions.items().len(), 1, "{}", actions.text);

    // The operator learns that the node was stolen: what it made is revoked, also now that it has left.
    let path = "/api/endnodes/node-2/deregister?credentials=revoke";
    api.post(path, &json!({})).await.unwrap().success().unwrap();
    let done = async || {
        let receipts = api.audit("?action=node_revocation_completed").await;
        receipts.is_ok_and(|receipts| receipts.items().len() == 1)
    };
    wait::until(wait::SOON, "the revocation to end", done).await.unwrap();
    site.all_synced(wait::SOON).await;
    site.refuses(&profile::with_only(&old, kept)).await;
    for username in users {
        site.lets_in(&api.profile(username).await.unwrap()).await;
    }
    witness.lost_nothing().await;
}
