//! Requests of the local API with an `Idempotency-Key`: done once, and answered as often as they are sent.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use vpnmanager_nats::{ids::Revision, intents::IntentAnswer};
use vpnmanager_testbed::wait;

use crate::{
    agent::{Agent, KEY},
    bus::fleet,
    fake_management::{DEADLINE, FakeManagement},
    parts::{User, node_id},
};

/// An answer: its status, whether it was kept from before, and its body.
type Answer = (u16, bool, Value);

/// Sends a POST with this `Idempotency-Key`; `None`: nobody answered.
async fn post(agent: &Agent, key: &str, path: &str, body: &Value) -> Option<Answer> {
    let url = format!("{}{path}", agent.base_url());
    let request = Client::new().post(url).header("X-API-Key", KEY);
    let response = request.header("Idempotency-Key", key).json(body).send().await.ok()?;
    answer_of(response).await
}

async fn answer_of(response: reqwest::Response) -> Option<Answer> {
    let is_kept = response.headers().contains_key("idempotent-replayed");
    Some((response.status().as_u16(), is_kept, response.json().await.ok()?))
}

/// What is wrong with the header, in words.
fn words((status, _, problem): Answer, expected: StatusCode) -> String {
    assert_eq!(status, expected, "{problem}");
    assert_eq!(problem["errors"][0]["field"], "Idempotency-Key", "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

fn accepts(management: &FakeManagement) {
    management.script().intent_answer = Some(IntentAnswer::Accepted {
        user_key: User::new("alice").key,
        revision: Revision(1),
    });
}

#[tokio::test]
async fn a_create_that_is_repeated_gets_the_first_answer_also_after_the_agent_was_killed() {
    let (management, mut agent) = fleet().await;
    accepts(&management);
    let alice = json!({ "username": "alice" });
    let (status, is_kept, first) = post(&agent, "k-1", "/api/users", &alice).await.unwrap();
    assert_eq!((status, is_kept), (201, false), "{first}");
    assert_eq!(
        post(&agent, "k-1", "/api/users", &alice).await.unwrap(),
        (201, true, first.clone())
    );

    agent.kill().await;
    agent.start().await;
    agent.in_sync().await;
    assert_eq!(
        post(&agent, "\"k-1\"", "/api/users", &alice).await.unwrap(),
        (201, true, first)
    );
    assert_eq!(management.script().intents.len(), 1, "management was asked once");

    let other = post(&agent, "k-1", "/api/users", &json!({ "username": "bob" })).await;
    assert!(words(other.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).contains("another request"));
    let spaced = post(&agent, "a b", "/api/users", &alice).await;
    words(spaced.unwrap(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_list_that_is_repeated_is_applied_once() {
    let (_management, agent) = fleet().await;
    let alice = User::new("alice");
    let list = json!({ "users": [{
        "type": "put_user", "user_key": alice.key, "username": "alice", "revision": 1, "active": true,
        "role": "standby", "credentials": [alice.credential],
    }] });
    let (status, is_kept, first) = post(&agent, "list", "/api/sync/users", &list).await.unwrap();
    assert_eq!((status, is_kept), (200, false), "{first}");
    assert_eq!(first["changed"], json!(["alice"]));
    assert_eq!(
        post(&agent, "list", "/api/sync/users", &list).await.unwrap(),
        (200, true, first)
    );
    // Without the key it is applied again, which changes nothing.
    let (_, again) = agent
        .call(reqwest::Method::POST, "/api/sync/users", Some(list))
        .await
        .unwrap();
    assert_eq!((&again["changed"], &again["unchanged"]), (&json!([]), &json!(1)));
}

#[tokio::test]
async fn a_create_that_a_kill_cut_off_is_not_done_again_and_says_so() {
    let (management, mut agent) = fleet().await;
    // Management does not answer: the create waits.
    let alice = json!({ "username": "alice" });
    let is_asked = async || !management.script().intents.is_empty();
    let cut_off = async {
        wait::until(DEADLINE, "management to be asked", is_asked).await.unwrap();
        let repeated = post(&agent, "k-1", "/api/users", &alice).await;
        assert!(words(repeated.unwrap(), StatusCode::CONFLICT).contains("still being worked on"));
    };
    tokio::select! {
        answer = post(&agent, "k-1", "/api/users", &alice) => panic!("it was answered: {answer:?}"),
        () = cut_off => {}
    }
    agent.kill().await;
    agent.start().await;
    agent.in_sync().await;

    let repeated = post(&agent, "k-1", "/api/users", &alice).await;
    assert!(words(repeated.unwrap(), StatusCode::CONFLICT).contains("not known whether it was done"));
    let user = agent.get("/api/users/alice").await.unwrap();
    assert_eq!(user["state"], "queued", "it was done");
    accepts(&management);
    let bob = post(&agent, "k-2", "/api/users", &json!({ "username": "bob" })).await;
    assert_eq!(bob.unwrap().0, 201, "another key is free");
}

/// It is done to its end, though nobody waits for the answer.
#[tokio::test]
async fn a_caller_who_hangs_up_finds_the_answer_later() {
    let (management, agent) = fleet().await;
    let alice = json!({ "username": "alice" });
    let is_asked = async || !management.script().intents.is_empty();
    tokio::select! {
        answer = post(&agent, "k-1", "/api/users", &alice) => panic!("it was answered: {answer:?}"),
        asked = wait::until(DEADLINE, "management to be asked", is_asked) => { asked.unwrap(); }
    }
    let answered = async || match post(&agent, "k-1", "/api/users", &alice).await {
        Some((status, true, user)) => Some((status, user)),
        Some(_) | None => None,
    };
    let (status, user) = wait::until_some(DEADLINE, "the answer", answered).await.unwrap();
    assert_eq!((status, &user["state"]), (202, &json!("queued")));
}

/// Root asks at the socket without a key of the node.
#[tokio::test]
async fn the_header_counts_at_the_socket_too() {
    let management = FakeManagement::start().await;
    accepts(&management);
    let mut agent = Agent::new(node_id().as_str(), &management.url());
    let socket = agent.dir.parent().unwrap().join("api.sock");
    agent.env.push(("API_SOCKET", socket.to_str().unwrap().to_owned()));
    agent.start().await;
    agent.in_sync().await;
    let client = Client::builder().unix_socket(socket).build().unwrap();
    let send = async || {
        let request = client.post("http://localhost/api/users").header("Idempotency-Key", "k");
        answer_of(request.json(&json!({ "username": "alice" })).send().await.unwrap()).await
    };
    let (status, is_kept, first) = send().await.unwrap();
    assert_eq!((status, is_kept), (201, false), "{first}");
    assert_eq!(send().await.unwrap(), (201, true, first.clone()));

    let with_key = post(&agent, "k", "/api/users", &json!({ "username": "alice" })).await;
    let of_another = words(with_key.unwrap(), StatusCode::CONFLICT);
    assert!(of_another.contains("only the API key that sent it"), "{of_another}");
}
