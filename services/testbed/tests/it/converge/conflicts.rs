//! What was asked at a node while management was away, and contradicts what was asked of management.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::{
    api::{Answer, Api},
    stack::Part,
    wait,
};

use super::records::{Records, audited};
use crate::main_job::site::{Site, nodes::agent_when};

/// A fleet whose node-1 was asked something while management was away, and is away itself now that management is there again.
struct Scene {
    site: Site,
    records: Records,
    /// The local API of node-1.
    local: Api,
    /// Management's.
    api: Api,
}

impl Scene {
    async fn set() -> Self {
        let site = Site::without_tunnels(2).await;
        site.create("alice").await;
        Self {
            records: Records::open(&site).await,
            local: site.stack.node(1).unwrap().api(),
            api: site.stack.api(),
            site,
        }
    }

    /// The bus too: nodes then wait for no answer.
    async fn management_is_away(&mut self) {
        for part in [Part::Management, Part::Nats] {
            self.site.stack.kill_part(part).await.unwrap();
        }
        let is_alone = |health: &Value| health["bus_connected"] == false;
        agent_when(&self.local, "node-1 to be alone", is_alone).await;
    }

    /// Its requests wait, also through kill -9.
    async fn only_node_1_is_away(&mut self) {
        self.site.stack.kill_part(Part::Node(1)).await.unwrap();
        for part in [Part::Nats, Part::Management] {
            self.site.stack.start_part(part).await.unwrap();
        }
    }

    /// node-1 is back and has no request left.
    async fn all_are_back(&mut self) {
        self.site.stack.start_part(Part::Node(1)).await.unwrap();
        let has_carried = |health: &Value| health["bus_connected"] == true && health["queued_intents"] == 0;
        agent_when(&self.local, "the requests to travel up", has_carried).await;
    }

    async fn ask(&self, username: &str, status: u16) -> Answer {
        let body = json!({ "username": username });
        let answer = self.local.post("/api/users", &body).await.unwrap();
        answer.expect(status).unwrap()
    }

    async fn ask_to_delete(&self, username: &str, status: u16) {
        let answer = self.local.delete(&format!("/api/users/{username}")).await.unwrap();
        answer.expect(status).unwrap();
    }

    /// The user as the local list and its own page show it: the same in both, but for who is being deleted or was never created, whom only
    /// the list has.
    async fn seen_locally(&self, username: &str) -> Value {
        let one = self.local.get(&format!("/api/users/{username}")).await.unwrap();
        let list = self.local.get("/api/users").await.unwrap().expect(200).unwrap();
        let mut listed = list.items().iter().filter(|user| user["username"] == username);
        let listed = listed.next().cloned().unwrap_or_default();
        let one = if one.status == 404 {
            Value::Null
        } else {
            one.expect(200).unwrap().body
        };
        if listed["state"] == "deleting" || listed["state"] == "refused" {
            assert_ne!(one["state"], listed["state"], "{}", list.text);
        } else {
            assert_eq!(listed, one, "{}", list.text);
        }
        listed
    }

    /// What happened by the word of node-1, oldest first.
    async fn done_by_node_1(&self) -> Vec<(String, String)> {
        let rows = self.api.audit("?limit=1000").await.unwrap().expect(200).unwrap();
        let mut rows: Vec<Value> = rows.items().to_vec();
        rows.sort_by_key(|row| row["id"].as_i64());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows = rows.iter().filter(|row| row["actor"] == "node:node-1");
        let rows = rows.map(|row| (text(&row["action"]), text(&row["username"])));
        rows.filter(|(_, username)| !username.is_empty()).collect()
    }
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(one, other): &(&str, &str)| ((*one).to_owned(), (*other).to_owned());
    wanted.iter().map(owned).collect()
}

#[tokio::test]
async fn of_two_creates_of_one_name_managements_stays_and_the_node_tells_its_caller() {
    let mut scene = Scene::set().await;
    scene.management_is_away().await;
    let asked = scene.ask("bob", 202).await;
    assert_eq!(asked.body["state"], "queued", "{}", asked.text);
    assert_eq!(scene.seen_locally("bob").await["state"], "queued");
    scene.only_node_1_is_away().await;
    let body = json!({ "username": "bob", "server_id": "node-2" });
    let created = scene
        .api
        .create_user_as(&body, None)
        .await
        .unwrap()
        .expect(201)
        .unwrap();

    scene.all_are_back().await;

    assert_eq!(scene.site.all_synced(wait::SOON).await, 2);
    scene.records.agree(&scene.site).await;
    let seen = scene.seen_locally("bob").await;
    assert_eq!(seen["key"], created.body["key"], "{seen}");
    assert_eq!((&seen["state"], &seen["role"]), (&json!("applied"), &json!("standby")));
    let told = seen["detail"].as_str().unwrap_or_default();
    assert!(told.contains("refused by management: the username is taken"), "{seen}");
    let known = scene.api.user("bob").await.unwrap().expect(200).unwrap();
    assert_eq!(known.body["key"], created.body["key"], "{}", known.text);
    assert_eq!(scene.records.serials().await.len(), 2, "one certificate for each name");
    assert_eq!(scene.done_by_node_1().await, pairs(&[("local_request_refused", "bob")]));
}

#[tokio::test]
async fn a_local_delete_outlives_a_change_that_management_took_meanwhile() {
    let mut scene = Scene::set().await;
    scene.management_is_away().await;
    scene.ask_to_delete("alice", 202).await;
    assert_eq!(scene.seen_locally("alice").await["state"], "deleting");
    scene.only_node_1_is_away().await;
    let later = json!({ "expires_at": Utc::now() + TimeDelta::days(1) });
    let changed = scene.api.change_user("alice", &later, None).await.unwrap();
    changed.expect(200).unwrap();

    scene.all_are_back().await;

    scene.site.forgets("alice").await;
    scene.records.agree(&scene.site).await;
    assert_eq!(scene.seen_locally("alice").await, Value::Null);
    assert_eq!(audited(&scene.site, "user_changed").await.len(), 1);
    assert_eq!(scene.done_by_node_1().await, pairs(&[("user_removed", "alice")]));
}

#[tokio::test]
async fn who_was_deleted_on_both_sides_is_deleted_once() {
    let mut scene = Scene::set().await;
    scene.management_is_away().await;
    scene.ask_to_delete("alice", 202).await;
    scene.only_node_1_is_away().await;
    let deleted = scene.api.delete_user("alice", None).await.unwrap();
    deleted.success().unwrap();

    scene.all_are_back().await;

    scene.site.forgets("alice").await;
    scene.records.agree(&scene.site).await;
    assert_eq!(scene.seen_locally("alice").await, Value::Null);
    assert_eq!(audited(&scene.site, "user_removed").await.len(), 1);
    assert_eq!(
        scene.done_by_node_1().await,
        pairs(&[("local_request_refused", "alice")])
    );
}

#[tokio::test]
async fn local_requests_travel_up_in_the_order_they_were_made() {
    let mut scene = Scene::set().await;
    let before = scene.api.user("alice").await.unwrap();
    scene.management_is_away().await;
    scene.ask_to_delete("alice", 202).await;
    scene.ask("alice", 202).await;
    // Taken back before management heard of it, and asked for once more.
    scene.ask_to_delete("alice", 200).await;
    scene.ask("bob", 202).await;
    scene.ask("alice", 202).await;
    scene.ask("alice", 409).await;
    scene.only_node_1_is_away().await;

    scene.all_are_back().await;

    let gone = async || scene.records.count("users WHERE removed_at IS NOT NULL").await == 0;
    wait::until(wait::SOON, "the first alice to be gone", gone)
        .await
        .unwrap();
    assert_eq!(scene.site.all_synced(wait::SOON).await, 2);
    scene.records.agree(&scene.site).await;
    let after = scene.api.user("alice").await.unwrap().expect(200).unwrap();
    assert_ne!(after.body["key"], before.body["key"], "another user of that name");
    assert_eq!(scene.seen_locally("alice").await["key"], after.body["key"]);
    assert_eq!(
        scene.done_by_node_1().await,
        pairs(&[
            ("user_removed", "alice"),
            ("user_created", "bob"),
            ("user_created", "alice")
        ])
    );
}
