//! A caller that got no answer asks again.

use serde_json::Value;
use vpnmanager_testbed::{
    api::{Answer, ApiError},
    postgres::Durability,
    stack::{Part, StackOptions},
    wait,
};

use super::records::{Records, audited};
use crate::main_job::site::Site;

/// Panics unless it is refused because the name is taken.
fn assert_taken(answer: Result<Answer, ApiError>) {
    let answer = answer.unwrap().expect(409).unwrap();
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let names: Vec<&Value> = errors.iter().map(|error| &error["field"]).collect();
    assert_eq!(names, ["username"], "{}", answer.text);
}

/// Panics unless there is exactly one user, of this name, with everything that belongs to one.
async fn assert_one(site: &Site, records: &Records, username: &str) {
    assert_eq!(site.all_synced(wait::SOON).await, 1);
    records.agree(site).await;
    let of_user = format!("JOIN users u ON u.id = user_id WHERE u.username = '{username}'");
    assert_eq!(records.count("users").await, 1);
    assert_eq!(records.count(&format!("credentials {of_user}")).await, 1);
    assert_eq!(records.serials().await.len(), 1, "one certificate");
    assert_eq!(records.count(&format!("placements {of_user}")).await, 2);
    let rows = audited(site, "user_created").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    site.stack.api().profile(username).await.unwrap();
}

#[tokio::test]
async fn a_create_sent_twice_makes_one_user() {
    let site = Site::without_tunnels(2).await;
    let (api, records) = (site.stack.api(), Records::open(&site).await);

    let created = api.create_user("alice", None).await.unwrap();
    created.expect(201).unwrap();
    assert_taken(api.create_user("alice", None).await);
    assert_taken(api.create_user("alice", Some(wait::SOON)).await);

    assert_one(&site, &records, "alice").await;
}

#[tokio::test]
async fn a_create_repeated_because_management_died_before_it_answered_makes_one_user() {
    let mut site = Site::start(StackOptions {
        tunnels: Some(false),
        durability: Durability::Durable,
        ..StackOptions::default()
    })
    .await;
    let (api, records) = (site.stack.api(), Records::open(&site).await);
    // While no agent acks it, the answer is held back.
    for number in [1, 2] {
        site.stack.stop_part(Part::Node(number)).await.unwrap();
    }
    let dies = async {
        let committed = async || records.count("users").await == 1;
        wait::until(wait::SOON, "the user to be committed", committed)
            .await
            .unwrap();
        site.stack.kill_part(Part::Management).await.unwrap();
    };
    let (answer, ()) = tokio::join!(api.create_user("alice", Some(wait::SOON)), dies);
    assert!(answer.is_err(), "{answer:?}");

    for part in [Part::Management, Part::Node(1), Part::Node(2)] {
        site.stack.start_part(part).await.unwrap();
    }
    assert_taken(api.create_user("alice", Some(wait::SOON)).await);

    assert_one(&site, &records, "alice").await;
}

/// The claim of the request outlives the management that made it: nobody does the request again, and nobody waits for it for ever.
#[tokio::test]
async fn a_create_with_a_key_whose_management_was_killed_is_not_done_again_and_is_said_to_be_unknown() {
    let mut site = Site::start(StackOptions {
        tunnels: Some(false),
        durability: Durability::Durable,
        ..StackOptions::default()
    })
    .await;
    let records = Records::open(&site).await;
    let (url, api_key) = (site.stack.state().management_url(), site.stack.state().api_key.clone());
    let create = async |username: &str, key: &str| -> reqwest::Result<(u16, Value)> {
        let request = reqwest::Client::new()
            .post(format!("{url}/api/users?wait=10s"))
            .header("X-API-Key", &api_key)
            .header("Idempotency-Key", key);
        let response = request
            .json(&serde_json::json!({ "username": username }))
            .send()
            .await?;
        Ok((response.status().as_u16(), response.json().await?))
    };
    for number in [1, 2] {
        site.stack.stop_part(Part::Node(number)).await.unwrap();
    }
    let dies = async {
        let committed = async || records.count("users").await == 1;
        wait::until(wait::SOON, "the user to be committed", committed)
            .await
            .unwrap();
        site.stack.kill_part(Part::Management).await.unwrap();
    };
    let (answer, ()) = tokio::join!(create("alice", "k-1"), dies);
    assert!(answer.is_err(), "{answer:?}");
    for part in [Part::Management, Part::Node(1), Part::Node(2)] {
        site.stack.start_part(part).await.unwrap();
    }

    let unknown = async || {
        let (status, problem) = create("alice", "k-1").await.unwrap();
        assert_eq!(
            (status, &problem["errors"][0]["field"]),
            (409, &Value::from("Idempotency-Key"))
        );
        let detail = problem["detail"].as_str().unwrap_or_default();
        detail.contains("not known whether it was done")
    };
    wait::until(wait::SOON * 3, "the claim to be given up", unknown)
        .await
        .unwrap();
    assert_one(&site, &records, "alice").await;
    let (status, problem) = create("alice", "k-2").await.unwrap();
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (409, &Value::from("username"))
    );
}
