//! Callers that ask much: wrong keys, requests without a key, requests that wait.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use poem::http::StatusCode;
use reqwest::Client;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use vpnmanager_entities::api_key::Role;
use vpnmanager_management::ops::users::read;
use vpnmanager_nats::username::Username;
use vpnmanager_testbed::wait;

use crate::database::fresh_database;
use crate::queries::Queries;
use crate::stack::{ADMIN_KEY, Stack, WithKey as _, json_of, registration};

/// A caller at this address.
fn caller_at(address: [u8; 4]) -> Client {
    let client = Client::builder()
        .local_address(IpAddr::from(address))
        .timeout(wait::SOON);
    client.build().expect("a client")
}

async fn list_users(client: &Client, server: SocketAddr, key: &str) -> u16 {
    let request = client
        .get(format!("http://{server}/api/users"))
        .header("x-api-key", key);
    request.send().await.expect("answered").status().as_u16()
}

/// A management, and what it asks of its database.
async fn counted() -> (Stack, Queries) {
    let database = fresh_database().await;
    let (queries, database) = Queries::counted(&database).await;
    (Stack::start_on(&database, &[]).await, queries)
}

#[tokio::test]
async fn many_wrong_keys_cost_few_queries_and_a_right_key_from_their_address_goes_on() {
    let (stack, queries) = counted().await;
    stack.add_key("another-admin-key", Role::Admin).await;
    let (server, client) = (stack.serve().await, caller_at([127, 0, 0, 1]));
    let before = queries.so_far();
    let attack = futures_util::stream::iter(0..2000)
        .map(|number| {
            let client = &client;
            async move { list_users(client, server, &format!("wrong-{number}")).await }
        })
        .buffer_unordered(100)
        .collect::<Vec<u16>>();
    let rightful = async {
        let mut answers = Vec::new();
        // The first was never seen before, the second is used by others too.
        for key in ["another-admin-key", ADMIN_KEY].repeat(20) {
            answers.push(list_users(&client, server, key).await);
        }
        answers
    };

    let (refused, served) = tokio::join!(attack, rightful);

    assert!(refused.iter().all(|status| *status == 401), "{refused:?}");
    assert_eq!(served, [200; 40]);
    let spent = queries.so_far() - before;
    assert!(spent < 1000, "{spent} queries for 2,000 wrong keys");

    assert_eq!(
        stack.refusals(2000).await,
        BTreeMap::from([("127.0.0.1".to_owned(), 2000)])
    );
}

#[tokio::test]
async fn a_wrong_key_is_remembered_and_a_key_that_is_made_later_works_soon() {
    let stack = Stack::start().await;
    let client = stack.client();
    let status = async || client.get("/api/users").key("early").send().await.0.status();
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
    stack.add_key("early", Role::Admin).await;
    let works = wait::until(wait::SOON, "the key to work", async || status().await == StatusCode::OK);
    works.await.expect("in time");
}

#[tokio::test]
async fn requests_without_a_key_are_put_off_for_their_own_address_only() {
    let stack = Stack::start_with(&[("CALLERS_KEYLESS_REQUESTS", "5")]).await;
    let server = stack.serve().await;
    let (stranger, other) = (caller_at([127, 0, 0, 1]), caller_at([127, 0, 0, 2]));
    let body = registration("node-1").token(Some("wrong")).body();
    let register = async |client: &Client, key: Option<&str>, body: &Value| {
        let mut request = client.post(format!("http://{server}/api/endnodes/register")).json(body);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        request.send().await.expect("answered")
    };
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(register(&stranger, None, &body).await.status().as_u16());
    }
    let put_off = register(&stranger, None, &body).await;

    assert_eq!(answers, [401; 5]);
    assert_eq!(put_off.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = put_off.headers()["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("a number");
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_eq!(put_off.headers()["content-type"], "application/problem+json");
    let standing = stranger.post(format!("http://{server}/api/endnodes/node-1/standing"));
    let question = json!({
        "bus_public_key": body["bus_public_key"], "at": "2026-01-01T00:00:00Z", "signature": "A".repeat(86),
    });
    let status = standing.json(&question).send().await.expect("answered").status();
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(register(&other, None, &body).await.status(), StatusCode::UNAUTHORIZED);
    let keyed = register(&stranger, Some(ADMIN_KEY), &registration("node-1").body()).await;
    assert_eq!(keyed.status(), StatusCode::CREATED, "with a key");
    let refusals = stack.refusals(6).await;
    assert_eq!(refusals.len(), 2, "wrong tokens of two addresses: {refusals:?}");
}

#[tokio::test]
async fn many_requests_that_wait_share_one_look_at_the_database() {
    let (stack, queries) = counted().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    let name: Username = "alice".parse().expect("a name");
    let view = read::get_user(&stack.app.db, &name)
        .await
        .expect("readable")
        .expect("alice");
    let before = queries.so_far();
    let waits = (0..200).map(|_| {
        let (waiters, view) = (stack.app.waiters.clone(), view.clone());
        async move {
            let place = waiters.place("key:admin").expect("a place");
            waiters.until_settled(&place, view, Duration::from_secs(3)).await
        }
    });

    let ends = join_all(waits).await;

    assert!(
        ends.iter()
            .all(|end| matches!(end, Ok(Some(view)) if !view.user.synced))
    );
    let spent = queries.so_far() - before;
    assert!(spent < 600, "{spent} queries for 200 requests that waited");
}

#[tokio::test]
async fn who_waits_is_told_what_another_replica_recorded() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let client = stack.client();
    let create = client
        .post("/api/users?wait=60s")
        .admin()
        .body_json(&json!({ "username": "alice" }))
        .send();
    let settle = async {
        // After the first look, and after the one that comes 200 ms later.
        let statement = "UPDATE users SET synced = true WHERE created_at < now() - interval '300 milliseconds'";
        let settled = wait::until(wait::SOON, "the user", async || {
            let done = stack.app.db.execute_unprepared(statement).await;
            done.expect("updated").rows_affected() > 0
        });
        settled.await.expect("in time");
    };
    let (created, ()) = tokio::time::timeout(wait::SOON, async { tokio::join!(create, settle) })
        .await
        .expect("in time");
    assert_eq!(json_of(created, StatusCode::CREATED).await["synced"], true);
}

#[tokio::test]
async fn a_change_is_made_and_answered_at_once_where_too_many_wait() {
    let stack = Stack::start_with(&[("CALLERS_MAX_WAITS_PER_KEY", "2"), ("CALLERS_MAX_WAITS", "3")]).await;
    stack.enrol("node-1").await;
    let waiters = &stack.app.waiters;
    let taken = (waiters.place("key:admin"), waiters.place("key:admin"));
    assert!(taken.0.is_some() && taken.1.is_some());
    let client = stack.client();
    let create = async |name: &str| {
        let request = client
            .post("/api/users?wait=60s")
            .admin()
            .body_json(&json!({ "username": name }));
        let answer = tokio::time::timeout(wait::SOON, request.send())
            .await
            .expect("answered at once");
        json_of(answer, StatusCode::CREATED).await
    };
    assert_eq!(create("alice").await["synced"], false);
    let others = (waiters.place("key:ci"), waiters.place("key:ci"));
    assert!(others.0.is_some() && others.1.is_none(), "three in all");
    drop(taken);
    assert!(waiters.place("key:admin").is_some(), "a place is given back");
}
