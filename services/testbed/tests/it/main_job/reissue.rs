//! A way back for a profile that was lost with its key.

use serde_json::{Value, json};
use vpnmanager_testbed::{api::Api, stack::Part, wait};

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
    lose_the_journal(&mut site).await;

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

#[tokio::test]
async fn after_a_lost_disk_all_users_get_new_profiles_and_the_old_ones_end_when_that_is_asked_for() {
    let Some(mut site) = Site::with_tunnels("reissue for many").await else {
        return;
    };
    let api = site.stack.api();
    let mut old = Vec::new();
    for username in ["alice", "bob"] {
        let body = json!({ "username": username, "server_id": "node-1" });
        let created = api.create_user_as(&body, Some(wait::SOON)).await.unwrap();
        assert_synced(&created.expect(201).unwrap());
        old.push(api.profile(username).await.unwrap());
    }
    lose_the_journal(&mut site).await;

    let begun = api.post(PATH, &json!({ "old_profiles": "keep" })).await.unwrap();
    let began_at = begun.expect(202).unwrap().body["started_at"].clone();

    let job = ended(&api).await;
    let counts = ["total", "done", "unchanged", "failed"].map(|count| job[count].as_u64().unwrap());
    assert_eq!(counts, [2, 2, 0, 0], "{job}");
    site.all_synced(wait::SOON).await;
    let new = [api.profile("alice").await.unwrap(), api.profile("bob").await.unwrap()];
    for (old, new) in old.iter().zip(&new) {
        assert_ne!(old, new);
        site.lets_in(old).await;
        site.lets_in(new).await;
    }

    let revoke = json!({ "old_profiles": "revoke", "made_before": began_at });
    api.post(PATH, &revoke).await.unwrap().expect(202).unwrap();

    ended(&api).await;
    site.all_synced(wait::SOON).await;
    for (old, new) in old.iter().zip(&new) {
        site.refuses(old).await;
        site.lets_in(new).await;
    }
    assert_eq!(api.profile("alice").await.unwrap(), new[0]);
}

const PATH: &str = "/api/endnodes/node-1/reissue";

/// How far it is, once it has ended.
async fn ended(api: &Api) -> Value {
    let has_ended = async || {
        let job = api.get(PATH).await.unwrap().body;
        job["ended_at"].is_string().then_some(job)
    };
    wait::until_some(wait::SOON, "the reissue to end", has_ended)
        .await
        .unwrap()
}

/// Its keys are lost with it.
async fn lose_the_journal(site: &mut Site) {
    site.stack.stop_part(Part::Node(1)).await.unwrap();
    site.lose_journal(1);
    site.stack.start_part(Part::Node(1)).await.unwrap();
    site.all_synced(wait::SOON).await;
}
