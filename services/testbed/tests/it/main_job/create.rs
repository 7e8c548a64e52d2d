//! A created user has a tunnel.

use serde_json::json;
use vpnmanager_testbed::wait;

use super::{
    profile,
    site::{Site, assert_synced},
};

#[tokio::test]
async fn a_created_user_pings_through_a_tunnel_of_either_node() {
    let Some(site) = Site::with_tunnels("create").await else {
        return;
    };

    let text = site.create("alice").await;

    profile::assert_complete(&text, 2);
    let visitor = site.visit(&text).await;
    visitor.lost_nothing().await;
    site.lets_in(&text).await;
}

#[tokio::test]
async fn the_chosen_home_comes_first_in_the_profile() {
    let Some(site) = Site::with_tunnels("home").await else {
        return;
    };
    let api = site.stack.api();
    for number in [1, 2] {
        let node = site.stack.node(number).unwrap();
        let username = format!("home-{number}");
        let body = json!({ "username": username, "server_id": node.id() });
        let created = api
            .create_user_as(&body, Some(wait::SOON))
            .await
            .unwrap()
            .expect(201)
            .unwrap();
        assert_synced(&created);
        assert_eq!(created.body["server_id"], node.id());

        let text = api.profile(&username).await.unwrap();

        assert_eq!(profile::hosts(&text)[0], node.namespace().unwrap().address.to_string());
    }
}

#[tokio::test]
async fn of_two_creates_of_one_name_one_wins() {
    let site = Site::without_tunnels(2).await;
    let api = site.stack.api();
    for round in 0..20 {
        let username = format!("twin-{round}");

        let (one, two) = tokio::join!(api.create_user(&username, None), api.create_user(&username, None));

        let mut answers = [one.unwrap(), two.unwrap()];
        answers.sort_by_key(|answer| answer.status);
        let [winner, loser] = answers;
        assert_eq!(
            (winner.status, loser.status),
            (201, 409),
            "{} {}",
            winner.text,
            loser.text
        );
        assert_eq!(loser.headers["content-type"], "application/problem+json");
        assert!(loser.text.contains("username"), "{}", loser.text);
    }
    assert_eq!(site.all_synced(wait::SOON).await, 20);
}

#[tokio::test]
async fn an_unknown_server_is_named_as_the_mistake() {
    let site = Site::without_tunnels(1).await;
    let api = site.stack.api();
    let body = json!({ "username": "alice", "server_id": "node-99" });

    let answer = api.create_user_as(&body, None).await.unwrap();

    assert!((400..500).contains(&answer.status), "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert!(answer.text.contains("server_id"), "{}", answer.text);
    assert_eq!(api.user("alice").await.unwrap().status, 404);
}
