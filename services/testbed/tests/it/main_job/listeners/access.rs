//! Access ends on every listener at once, and one session without any other.

use std::time::SystemTime;

use serde_json::{Value, json};
use vpnmanager_testbed::{
    stack::{Listener, Part},
    wait,
};

use super::{at_both, connect_at, visit_at};
use crate::main_job::site::Site;

#[tokio::test]
async fn a_deleted_user_is_cut_on_each_listener_and_stays_out() {
    let Some(site) = at_both("listeners delete", 2).await else {
        return;
    };
    let api = site.stack.api();
    let witnesses = site.create("witness").await;
    let text = site.create("alice").await;
    let witness = visit_at(&site, Listener::TCP, &witnesses).await;
    let on_udp = visit_at(&site, Listener::UDP, &text).await;
    let on_tcp = visit_at(&site, Listener::TCP, &text).await;

    let began = SystemTime::now();
    let deleted = api.delete_user("alice", Some(wait::SOON)).await.unwrap();

    deleted.success().unwrap();
    for (mut alice, listener) in [on_udp, on_tcp].into_iter().zip(Listener::BOTH) {
        alice.is_cut(began, &format!("DELETE, at {listener},")).await;
        alice.connection.client.exited(wait::SOON).await.unwrap();
        alice.is_turned_away().await;
    }
    site.refuses(&text).await;
    witness.lost_nothing().await;
}

#[tokio::test]
async fn a_suspended_user_is_cut_on_each_listener_and_comes_back_on_each() {
    let Some(site) = at_both("listeners suspend", 1).await else {
        return;
    };
    let witnesses = site.create("witness").await;
    let text = site.create("alice").await;
    let witness = visit_at(&site, Listener::UDP, &witnesses).await;
    let on_udp = visit_at(&site, Listener::UDP, &text).await;
    let on_tcp = visit_at(&site, Listener::TCP, &text).await;

    let began = SystemTime::now();
    site.change("alice", &json!({ "active": false })).await;

    for (alice, listener) in [on_udp, on_tcp].into_iter().zip(Listener::BOTH) {
        alice.is_cut(began, &format!("active=false, at {listener},")).await;
        alice.connection.close().await;
    }
    site.refuses(&text).await;

    site.change("alice", &json!({ "active": true })).await;

    site.lets_in(&text).await;
    witness.lost_nothing().await;
}

/// Waits until these listeners have a session each of those that the query asks for, and returns these in that order.
async fn sessions_at(site: &Site, query: &str, listeners: &[Listener]) -> Vec<Value> {
    let api = site.stack.api();
    let mut wanted: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    wanted.sort();
    let path = format!("/api/sessions{query}");
    let mut found = wait::until_ok(wait::SOON, format_args!("{path} to be at {wanted:?}"), async || {
        let answer = api.get(&path).await.and_then(|answer| answer.expect(200));
        let answer = answer.map_err(|error| error.to_string())?;
        let mut named: Vec<&str> = answer
            .items()
            .iter()
            .filter_map(|item| item["listener"].as_str())
            .collect();
        named.sort_unstable();
        if named == wanted && answer.items().len() == wanted.len() && answer.body["missing"] == json!([]) {
            Ok(answer.items().to_vec())
        } else {
            Err(answer.text)
        }
    })
    .await
    .unwrap();
    found.sort_by_key(|session| {
        listeners
            .iter()
            .position(|listener| session["listener"] == listener.to_string())
    });
    found
}

#[tokio::test]
async fn of_two_sessions_of_one_profile_the_named_one_ends_and_each_says_its_listener() {
    let Some(site) = at_both("listeners sessions", 1).await else {
        return;
    };
    let api = site.stack.api();
    let text = site.create("alice").await;
    let on_udp = visit_at(&site, Listener::UDP, &text).await;
    let mut on_tcp = visit_at(&site, Listener::TCP, &text).await;
    let both = sessions_at(&site, "?username=alice", &Listener::BOTH).await;
    assert_ne!(both[0]["id"], both[1]["id"]);
    let narrowed = sessions_at(&site, "?listener=tcp:443", &[Listener::TCP]).await;
    assert_eq!(narrowed[0]["id"], both[1]["id"]);

    let path = format!("/api/sessions/{}", both[1]["id"].as_str().unwrap());
    let began = SystemTime::now();
    api.delete(&path).await.unwrap().expect(204).unwrap();

    on_tcp.is_cut(began, "the end of the session").await;
    on_tcp.connection.client.exited(wait::SOON).await.unwrap();
    let left = sessions_at(&site, "?username=alice", &[Listener::UDP]).await;
    assert_eq!(left[0]["id"], both[0]["id"]);
    assert_eq!(api.delete(&path).await.unwrap().status, 404);
    let has_ended = |row: &Value| row["ended_at"].is_string();
    let rows = site
        .history("alice", |rows| rows.len() == 2 && rows.iter().any(has_ended))
        .await;
    for row in &rows {
        let listener = if has_ended(row) { Listener::TCP } else { Listener::UDP };
        assert_eq!(row["listener"], listener.to_string(), "{row}");
    }
    let ended = api.get("/api/sessions/history?listener=tcp:443").await.unwrap();
    assert_eq!(ended.items().len(), 1, "{}", ended.text);

    // The profile is as good as before.
    on_tcp.connection.client.restart().await.unwrap();
    on_tcp.connection.client.connected(wait::SOON).await.unwrap();
    let again = sessions_at(&site, "?username=alice", &Listener::BOTH).await;
    assert_ne!(again[1]["id"], both[1]["id"]);
    on_udp.lost_nothing().await;
}

#[tokio::test]
async fn who_was_deleted_while_the_agent_was_dead_is_cut_on_each_listener_as_it_starts() {
    let Some(mut site) = at_both("listeners dead agent", 1).await else {
        return;
    };
    let text = site.create("alice").await;
    let witnesses = site.create("witness").await;
    let witness = visit_at(&site, Listener::TCP, &witnesses).await;
    let on_udp = connect_at(&site, Listener::UDP, &text).await;
    let on_tcp = connect_at(&site, Listener::TCP, &text).await;
    let servers = site.stack.processes(Part::Openvpn(1));
    site.stack.kill_part(Part::Node(1)).await.unwrap();
    let api = site.stack.api();
    let pending = api.delete_user("alice", None).await.unwrap().success().unwrap();
    assert_eq!(pending.body["synced"], false, "{}", pending.text);
    assert!(on_udp.answers().await && on_tcp.answers().await);

    site.stack.start_part(Part::Node(1)).await.unwrap();

    for alice in [on_udp, on_tcp] {
        alice.client.exited(wait::SOON).await.unwrap();
    }
    site.forgets("alice").await;
    site.refuses(&text).await;
    assert_eq!(
        site.stack.processes(Part::Openvpn(1)),
        servers,
        "OpenVPN was started anew"
    );
    witness.lost_nothing().await;
}
