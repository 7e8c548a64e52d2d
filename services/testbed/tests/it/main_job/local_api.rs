//! A node's own API, by which it can be asked and told without management's.

use serde_json::{Value, json};
use vpnmanager_testbed::wait;

use super::{
    profile,
    site::{Site, assert_synced},
};

#[tokio::test]
async fn a_user_created_at_a_node_is_everywhere() {
    let Some(site) = Site::with_tunnels("local create").await else {
        return;
    };
    let (one, two) = (site.stack.node(1).unwrap(), site.stack.node(2).unwrap());

    let created = one.api().post("/api/users", &json!({ "username": "local" })).await;

    let created = created.unwrap().expect(201).unwrap();
    let elsewhere = wait::until_some(wait::SOON, "the other node to hold the user", async || {
        let answer = two.api().get("/api/users/local").await.ok()?;
        (answer.status == 200 && answer.body["state"] == "applied").then_some(answer)
    });
    let elsewhere = elsewhere.await.unwrap();
    assert_eq!(elsewhere.body["key"], created.body["key"]);
    assert_eq!(elsewhere.body["role"], "standby", "{}", elsewhere.text);
    let api = site.stack.api();
    wait::until(wait::SOON, "management to see it synced", async || {
        api.user("local")
            .await
            .is_ok_and(|answer| answer.body["synced"] == true)
    })
    .await
    .unwrap();
    let known = api.user("local").await.unwrap();
    assert_synced(&known);
    assert_eq!(known.body["server_id"], "node-1", "the home is where it was created");
    let trail = api.audit("?username=local&action=user_created").await.unwrap();
    assert!(
        trail.items()[0]["actor"].as_str().unwrap().contains("node-1"),
        "{}",
        trail.text
    );
    let text = api.profile("local").await.unwrap();
    profile::assert_complete(&text, 2);
    site.lets_in(&text).await;
}

#[tokio::test]
async fn a_node_lists_and_shows_what_it_holds() {
    let site = Site::without_tunnels(2).await;
    let names = ["alice", "bob", "carol"];
    for username in names {
        site.create(username).await;
    }
    for node in site.stack.nodes() {
        let local = node.api();
        let list = local.get("/api/users").await.unwrap().expect(200).unwrap();
        let listed: Vec<&str> = list
            .items()
            .iter()
            .filter_map(|user| user["username"].as_str())
            .collect();
        assert_eq!(listed, names);

        let first = local.get("/api/users?limit=2").await.unwrap().expect(200).unwrap();
        let cursor = first.body["next_cursor"].as_str().unwrap();
        let second = local.get(&format!("/api/users?limit=2&cursor={cursor}")).await.unwrap();
        let rest: Vec<&Value> = second.items().iter().map(|user| &user["username"]).collect();
        assert_eq!((first.items().len(), rest), (2, vec![&json!("carol")]));

        let alice = local.get("/api/users/alice").await.unwrap().expect(200).unwrap();
        assert_eq!(alice.body["state"], "applied", "{}", alice.text);
        assert!(!alice.text.contains("PRIVATE KEY"));
        assert_eq!(local.get("/api/users/nobody").await.unwrap().status, 404);
    }
}

#[tokio::test]
async fn without_the_right_key_a_node_tells_nothing() {
    let site = Site::without_tunnels(1).await;
    site.create("alice").await;
    let node = site.stack.node(1).unwrap();
    for key in [None, Some("wrong"), Some("")] {
        let local = node.api().with_key(key);
        let answers = [
            local.get("/api/users").await,
            local.get("/api/users/alice").await,
            local.delete("/api/users/alice").await,
            local.post("/api/users", &json!({ "username": "mallory" })).await,
            local
                .post("/api/sync/users", &json!({ "full": true, "users": [] }))
                .await,
        ];
        for answer in answers {
            let answer = answer.unwrap().expect(401).unwrap();
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
        local.get("/health").await.unwrap().expect(200).unwrap();
    }
    assert_eq!(site.stack.api().user("alice").await.unwrap().body["synced"], true);
}

#[tokio::test]
async fn a_name_that_is_taken_or_wrong_is_refused_at_the_node() {
    let site = Site::without_tunnels(2).await;
    site.create("alice").await;
    let local = site.stack.node(1).unwrap().api();
    let create = async |body: Value| local.post("/api/users", &body).await.unwrap();

    assert_eq!(create(json!({ "username": "alice" })).await.status, 409);
    for wrong in [
        "",
        "../x",
        "a.b*>",
        "a\0b",
        "a\nb",
        "\u{202e}evil",
        "DEFAULT",
        &"x".repeat(300),
    ] {
        let answer = create(json!({ "username": wrong })).await;
        assert!((400..500).contains(&answer.status), "{wrong:?}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let past = create(json!({ "username": "bob", "expires_at": "2001-01-01T00:00:00Z" })).await;
    assert!((400..500).contains(&past.status), "{}", past.text);
    assert_eq!(site.all_synced(wait::SOON).await, 1);
}
