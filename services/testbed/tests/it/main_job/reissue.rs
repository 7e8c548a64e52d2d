//! A way back for a profile that was lost with its key.

use std::fs;

use serde_json::json;
use vpnmanager_testbed::{stack::Part, wait};

use super::site::{Site, assert_synced};

#[tokio::test]
async fn a_profile_whose_key_was_lost_is_made_anew_and_the_old_one_works_until_it_is_revoked() {
    let Some(mut site) = Site::with_tunnels("reissue").await else {
        return;
    };
    let api = site.stack.api();
    let body = json!({ "username": "alice", "server_id": "node-1" });
    let created = api.create_user_as(&body, Some(wait::SOON)).await.unwrap();
    assert_synced(&created.expect(201).unwrap());
    let old = api.profile("alice").await.unwrap();
    site.stack.stop_part(Part::Node(1)).await.unwrap();
    let state = site.stack.node(1).unwrap().dir();
    for suffix in ["", "-wal", "-shm"] {
        let file = state.join(format!("journal.db{suffix}"));
        if file.exists() {
            fs::remove_file(file).unwrap();
        }
    }
    site.stack.start_part(Part::Node(1)).await.unwrap();
    site.all_synced(wait::SOON).await;

    let reissued = api
        .reissue_profile("alice", &json!({}), Some(wait::SOON))
        .await
        .unwrap();

    assert_synced(&reissued.expect(200).unwrap());
    let new = api.profile("alice").await.unwrap();
    assert_ne!(new, old);
    site.lets_in(&new).await;
    site.lets_in(&old).await;

    let session = site.visit(&new).await;
    let revoke = json!({ "old_profiles": "revoke" });
    let reissued = api.reissue_profile("alice", &revoke, Some(wait::SOON)).await.unwrap();

    assert_synced(&reissued.expect(200).unwrap());
    let newest = api.profile("alice").await.unwrap();
    site.lets_in(&newest).await;
    site.refuses(&old).await;
    site.refuses(&new).await;
    session.connection.client.exited(wait::SOON).await.unwrap();
}
