//! A delete at the node acts there at once and travels up, be management there or not.

use std::time::SystemTime;

use vpnmanager_testbed::{stack::Part, wait};

use super::{profile, site::Site};

#[tokio::test]
async fn a_local_delete_cuts_here_and_then_everywhere() {
    let Some(site) = Site::with_tunnels("local delete").await else {
        return;
    };
    let witness = site.witness().await;
    let text = site.create("alice").await;
    let here = site.visit(&text).await;
    let local = site.stack.node(site.first_node(&text)).unwrap().api();

    let began = SystemTime::now();
    let answer = local.delete("/api/users/alice").await.unwrap();

    here.is_cut(began, "a local DELETE").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    site.forgets("alice").await;
    site.refuses(&text).await;
    assert_eq!(local.get("/api/users/alice").await.unwrap().status, 404);
    let trail = site
        .stack
        .api()
        .audit("?username=alice&action=user_removed")
        .await
        .unwrap();
    assert!(
        trail.items()[0]["actor"].as_str().unwrap().starts_with("node:"),
        "{}",
        trail.text
    );
    witness.lost_nothing().await;
}

#[tokio::test]
async fn a_local_delete_needs_no_management() {
    let Some(mut site) = Site::with_tunnels("local delete alone").await else {
        return;
    };
    let witness = site.witness().await;
    let text = site.create("alice").await;
    let here = site.visit(&text).await;
    let number = site.first_node(&text);
    let local = site.stack.node(number).unwrap().api();
    site.stack.kill_part(Part::Management).await.unwrap();

    let began = SystemTime::now();
    let answer = local.delete("/api/users/alice").await.unwrap();

    here.is_cut(began, "a local DELETE without management").await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let own = profile::with_only(&text, profile::remotes(&text)[0]);
    site.refuses(&own).await;
    // Not even a crash of the agent makes it forget what it was told.
    site.stack.kill_part(Part::Node(number)).await.unwrap();
    site.stack.start_part(Part::Node(number)).await.unwrap();
    site.refuses(&own).await;

    site.stack.start_part(Part::Management).await.unwrap();

    site.forgets("alice").await;
    site.refuses(&text).await;
    assert_eq!(local.get("/api/users/alice").await.unwrap().status, 404);
    witness.lost_nothing().await;
    let again = site.create("alice").await;
    site.refuses(&text).await;
    site.lets_in(&again).await;
}

#[tokio::test]
async fn a_local_create_waits_for_management() {
    let mut site = Site::without_tunnels(2).await;
    let local = site.stack.node(1).unwrap().api();
    site.stack.kill_part(Part::Management).await.unwrap();

    let body = serde_json::json!({ "username": "patient" });
    let answer = local.post("/api/users", &body).await.unwrap();

    assert_eq!(answer.status, 202, "{}", answer.text);
    let known = local.get("/api/users/patient").await.unwrap().expect(200).unwrap();
    assert_eq!(known.body["state"], "queued", "{}", known.text);
    site.stack.kill_part(Part::Node(1)).await.unwrap();
    site.stack.start_part(Part::Node(1)).await.unwrap();
    site.stack.start_part(Part::Management).await.unwrap();
    site.knows("patient").await;
    assert_eq!(site.all_synced(wait::SOON).await, 1);
    profile::assert_complete(&site.stack.api().profile("patient").await.unwrap(), 2);
}
