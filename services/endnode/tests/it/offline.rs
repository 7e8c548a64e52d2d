//! What the node does when the bus is away, and when it comes back.

use reqwest::Method;
use serde_json::json;
use vpnmanager_nats::{
    envelope::Envelope,
    ids::Revision,
    intents::{IntentAction, IntentAnswer},
    subjects,
};
use vpnmanager_testbed::wait;

use crate::{
    bus::fleet,
    fake_management::DEADLINE,
    parts::{User, node_id},
};

#[tokio::test]
async fn local_creates_and_deletes_travel_up_and_act_offline() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");
    let accepted = IntentAnswer::Accepted {
        user_key: alice.key,
        revision: Revision(1),
    };
    management.script().intent_answer = Some(accepted);

    let (status, user) = agent
        .call(Method::POST, "/api/users", Some(json!({ "username": "alice" })))
        .await
        .unwrap();
    assert_eq!(status, 201, "{user}");
    assert_eq!(
        (user["username"].as_str(), user["revision"].as_i64()),
        (Some("alice"), Some(1))
    );

    management.send(vec![alice.standby(1)]).await;
    management.ack_of(alice.key, 1).await;
    management.script().intent_answer = None;
    let (status, user) = agent.call(Method::DELETE, "/api/users/alice", None).await.unwrap();
    assert_eq!(status, 202, "{user}");
    assert!(agent.allowed().is_empty());
    let (status, _) = agent.call(Method::GET, "/api/users/alice", None).await.unwrap();
    assert_eq!(status, 404);
    assert_eq!(agent.get("/api/users").await.unwrap()["items"][0]["state"], "deleting");

    let (status, queued) = agent
        .call(Method::POST, "/api/users", Some(json!({ "username": "bob" })))
        .await
        .unwrap();
    assert_eq!((status.as_u16(), queued["state"].as_str()), (202, Some("queued")));
    let page = agent.get("/api/users").await.unwrap();
    let names: Vec<&str> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|user| user["username"].as_str())
        .collect();
    assert_eq!(names, ["alice", "bob"]);

    management.script().intent_answer = Some(IntentAnswer::Accepted {
        user_key: alice.key,
        revision: Revision(2),
    });
    let carried = || async {
        agent
            .get("/health")
            .await
            .is_some_and(|health| health["queued_intents"] == 0)
    };
    wait::until(DEADLINE, "the intents to be carried", carried)
        .await
        .unwrap();
    let actions: Vec<IntentAction> = management
        .script()
        .intents
        .iter()
        .map(|intent| intent.action.clone())
        .collect();
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, IntentAction::RemoveUser { user_key, .. } if *user_key == alice.key))
    );
}

#[tokio::test]
async fn a_restarted_bus_carries_on_where_it_stopped() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");
    let mut server = management.bus.lock().unwrap().take().unwrap();
    server.kill().await;
    server.restart().await.unwrap();
    let sent = wait::until_ok(DEADLINE, "the bus to take a command", async || {
        let subject = subjects::command(&node_id(), alice.key);
        let publish = management
            .topology
            .context()
            .publish(subject, Envelope::new(alice.standby(1)).encode());
        publish
            .await
            .map_err(|error| error.to_string())?
            .await
            .map_err(|error| error.to_string())
    });
    sent.await.unwrap();
    management.ack_of(alice.key, 1).await;
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);
    drop(server);
}

#[tokio::test]
async fn without_a_bus_a_local_delete_acts_and_is_answered_at_once() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");
    management.send(vec![alice.standby(1)]).await;
    management.ack_of(alice.key, 1).await;
    let server = management.bus.lock().unwrap().take().unwrap();
    server.kill().await;
    let away = || async {
        agent
            .get("/health")
            .await
            .is_some_and(|health| health["bus_connected"] == false)
    };
    wait::until(DEADLINE, "the bus to be away", away).await.unwrap();

    let started = std::time::Instant::now();
    let (status, user) = agent.call(Method::DELETE, "/api/users/alice", None).await.unwrap();

    assert_eq!(status, 202, "{user}");
    assert!(started.elapsed() < wait::PROMISED_SECOND, "{:?}", started.elapsed());
    assert!(agent.allowed().is_empty());
    let (status, _) = agent
        .call(Method::POST, "/api/users", Some(json!({ "username": "bob" })))
        .await
        .unwrap();
    assert_eq!(status, 202);
    let (status, _) = agent.call(Method::DELETE, "/api/users/bob", None).await.unwrap();
    assert_eq!(status, 200, "a create that was never sent is simply forgotten");
    drop(server);
}

#[tokio::test]
async fn an_agent_that_starts_without_management_serves_what_it_holds() {
    let (management, mut agent) = fleet().await;
    let alice = User::new("alice");
    management.send(vec![alice.standby(1)]).await;
    management.ack_of(alice.key, 1).await;
    agent.kill().await;
    let server = management.bus.lock().unwrap().take().unwrap();
    server.kill().await;
    std::fs::remove_file(agent.dir.join("allow").join(alice.credential.as_str())).unwrap();

    agent.start().await;

    let served = || async { agent.log().contains("This node serves in_sync=false") };
    wait::until(DEADLINE, "the node to serve", served)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);
    drop(server);
}

#[tokio::test]
async fn a_bus_that_is_away_is_named_with_the_cause_and_what_to_look_at() {
    let (management, agent) = fleet().await;
    let server = management.bus.lock().unwrap().take().unwrap();
    server.kill().await;

    let named = async || {
        let health = agent.get("/health").await.unwrap();
        let detail = health["detail"].as_str().unwrap_or_default().to_owned();
        let is_named = detail.starts_with(&format!("the bus at {} is not connected (", management.tls_url));
        (health["status"] == "degraded" && is_named).then_some(()).ok_or(detail)
    };
    wait::until_ok(DEADLINE, "the address and the cause", named)
        .await
        .unwrap();
    drop(server);
}

/// The journal is read at the start, which may take a while. A load balancer, or a person, must not take the node for one that was never enrolled.
#[tokio::test]
async fn an_agent_that_reads_its_journal_says_that_it_has_just_started() {
    let (_management, mut agent) = fleet().await;
    agent.kill().await;
    let other = rusqlite::Connection::open(agent.dir.join("journal.db")).unwrap();
    // Readers wait too.
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE")
        .unwrap();

    let first = agent.start().await;
    let problem = agent.call(Method::GET, "/api/users", None).await.unwrap();
    drop(other);

    assert_eq!(first["status"], "degraded", "{first}");
    let detail = first["detail"].as_str().unwrap();
    assert!(detail.contains("the agent has just started"), "{detail}");
    assert_eq!(problem.0, 503);
    assert!(
        problem.1["detail"].as_str().unwrap().contains("has just started"),
        "{}",
        problem.1
    );
    agent.in_sync().await;
}
