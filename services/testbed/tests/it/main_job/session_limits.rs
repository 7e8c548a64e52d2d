//! A group limits with how many devices its members are connected at the same time, wherever they are.

use std::time::{Duration, SystemTime};

use serde_json::json;
use vpnmanager_testbed::wait;

use super::{
    devices::add_device,
    profile,
    site::{SILENCE, Site, assert_synced},
};

/// So soon after a login beyond the limit the excess is gone.
const WITHIN: Duration = wait::under_load(Duration::from_secs(5));

#[tokio::test]
async fn who_connects_with_one_device_too_many_loses_the_oldest_or_the_newest_within_five_seconds() {
    let Some(site) = Site::with_tunnels("sessions at once").await else {
        return;
    };
    let api = site.stack.api();
    let group = json!({ "name": "staff", "sessions": 1, "session_excess": "oldest_ends" });
    api.post("/api/groups", &group).await.unwrap().expect(201).unwrap();
    let alice = json!({ "username": "alice", "group": "staff" });
    let created = api.create_user_as(&alice, Some(wait::SOON)).await.unwrap();
    assert_synced(&created.expect(201).unwrap());
    let (laptop, phone) = (
        api.profile("alice").await.unwrap(),
        add_device(&site, "alice", "phone").await,
    );
    // Each on a node of its own.
    let laptop = profile::with_only(&laptop, profile::remotes(&laptop)[0]);
    let phone = profile::with_only(&phone, profile::remotes(&phone)[1]);
    let witness = site.witness().await;
    let mut laptop = site.visit(&laptop).await;
    site.history("alice", |rows| rows.iter().any(|row| row["ended_at"].is_null()))
        .await;

    let began = SystemTime::now();
    let phone = site.visit(&phone).await;

    let cut = laptop.pings.falls_silent(began, SILENCE, wait::SOON).await.unwrap();
    eprintln!(
        "measured: last ping answered {} ms after the login beyond the limit began",
        cut.as_millis()
    );
    assert!(cut < WITHIN, "the oldest session lived on for {cut:?}");
    laptop.connection.client.exited(wait::SOON).await.unwrap();
    let entry = wait::until_some(wait::SOON, "the entry in the trail", async || {
        let answer = api.audit("?action=session_limited").await.unwrap();
        answer.items().first().cloned()
    })
    .await
    .unwrap();
    assert_eq!(
        (&entry["username"], &entry["after"]["device"], &entry["after"]["group"]),
        (&json!("alice"), &json!("default"), &json!("staff")),
        "{entry}"
    );

    let newest = json!({ "session_excess": "newest_ends" });
    let changed = api.patch("/api/groups/staff", &newest).await.unwrap();
    changed.expect(200).unwrap();
    laptop.connection.client.restart().await.unwrap();
    laptop.connection.client.exited(wait::SOON).await.unwrap();
    phone.lost_nothing().await;
    witness.lost_nothing().await;
}
