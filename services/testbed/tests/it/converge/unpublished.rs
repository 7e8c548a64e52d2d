//! What was promised and has not reached the bus when management dies.

use std::time::Instant;

use vpnmanager_testbed::{
    postgres::Durability,
    stack::{Part, StackOptions},
    wait,
};

use super::records::Records;
use crate::main_job::site::Site;

const USERS: usize = 20;

#[tokio::test]
async fn management_killed_between_commit_and_publish_loses_nothing() {
    let mut site = Site::start(StackOptions {
        tunnels: Some(false),
        durability: Durability::Durable,
        ..StackOptions::default()
    })
    .await;
    let api = site.stack.api();
    site.create("gone").await;
    let records = Records::open(&site).await;

    // Without the bus, nothing that is committed can be published.
    site.stack.kill_part(Part::Nats).await.unwrap();
    for number in 0..USERS {
        let created = api.create_user(&format!("user-{number}"), None).await.unwrap();
        created.expect(201).unwrap();
    }
    api.delete_user("gone", None).await.unwrap().success().unwrap();
    site.stack.kill_part(Part::Management).await.unwrap();
    site.stack.start_part(Part::Nats).await.unwrap();
    let began = Instant::now();
    site.stack.start_part(Part::Management).await.unwrap();

    site.forgets("gone").await;
    assert_eq!(site.all_synced(wait::SOON).await, USERS);
    records.agree(&site).await;
    eprintln!(
        "measured: all synced {} ms after management's start began",
        began.elapsed().as_millis()
    );
    let once = records
        .serials()
        .await
        .into_keys()
        .filter(|name| name.starts_with("user-"));
    assert_eq!(once.count(), USERS, "one certificate each");
}
