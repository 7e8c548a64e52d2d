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
