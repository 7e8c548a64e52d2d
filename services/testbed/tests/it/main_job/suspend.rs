//! `active: false` shuts a user out, `true` lets the very same profile in again.

use std::time::SystemTime;

use serde_json::json;
use vpnmanager_testbed::wait;

use super::site::{Site, assert_synced};

#[tokio::test]
async fn a_suspended_user_is_cut_and_comes_back_with_the_same_profile() {
    let Some(site) = Site::with_tunnels("suspend").await else {
        return;
    };
    let api = site.stack.api();
    let witness = site.witness().await;
    let text = site.create("alice").await;
    let mut alice = site.visit(&text).await;

    let began = SystemTime::now();
    let suspended = api
        .change_user("alice", &json!({ "active": false }), Some(wait::SOON))
        .await;

    assert_synced(&suspended.unwrap().expect(200).unwrap());
    alice.is_cut(began, "active=false").await;
    alice.connection.client.exited(wait::SOON).await.unwrap();
    site.refuses(&text).await;

    let resumed = api
        .change_user("alice", &json!({ "active": true }), Some(wait::SOON))
        .await;

    assert_synced(&resumed.unwrap().expect(200).unwrap());
    assert_eq!(api.profile("alice").await.unwrap(), text, "the profile changed");
    alice.connection.client.restart().await.unwrap();
    alice.connection.client.connected(wait::SOON).await.unwrap();
    alice.pings = alice.connection.pings().unwrap();
    alice.lost_nothing().await;
    site.lets_in(&text).await;
    witness.lost_nothing().await;
}
