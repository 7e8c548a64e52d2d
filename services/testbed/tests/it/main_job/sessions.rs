//! Who is connected is known, and one session is ended without any other.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use vpnmanager_testbed::wait;

use super::site::Site;

/// The live sessions by their usernames. Panics when a node is missing.
async fn sessions(site: &Site) -> Vec<(String, Value)> {
    let answer = site
        .stack
        .api()
        .get("/api/sessions")
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(answer.body["missing"], serde_json::json!([]), "{}", answer.text);
    let named = answer.items().iter().map(|session| {
        let username = session["username"].as_str().unwrap_or_default().to_owned();
        (username, session.clone())
    });
    named.collect()
}

#[tokio::test]
async fn a_session_is_seen_and_ended_and_nobody_else_notices() {
    let Some(site) = Site::with_tunnels("sessions").await else {
        return;
    };
    let api = site.stack.api();
    // An agent that has just started may not have OpenVPN's ear yet, and says so.
    let all_tell = || async {
        let answer = api.get("/api/sessions").await.unwrap();
        answer.status == 200 && answer.body["missing"] == serde_json::json!([])
    };
    wait::until(wait::SOON, "all nodes to tell", all_tell).await.unwrap();
    assert_eq!(sessions(&site).await, []);
    let before = SystemTime::now();
    let witness = site.witness().await;
    let text = site.create_at("alice", "node-1").await;
    let mut alice = site.visit(&text).await;

    let mut seen = sessions(&site).await;
    seen.sort_by(|(one, _), (other, _)| one.cmp(other));
    let usernames: Vec<&str> = seen.iter().map(|(username, _)| username.as_str()).collect();
    assert_eq!(usernames, ["alice", "witness"], "{seen:?}");
    let session = &seen[0].1;
    assert_eq!(session["server_id"], "node-1");
    let from = format!("{}:", alice.connection.namespace.address);
    assert!(
        session["real_address"].as_str().unwrap().starts_with(&from),
        "{session}"
    );
    assert!(session["virtual_address"].is_string(), "{session}");
    // Each ping and its answer have 84 bytes inside the tunnel.
    for counter in ["bytes_in", "bytes_out"] {
        assert!(session[counter].as_u64().unwrap() > 5 * 84, "{session}");
    }
    assert!(
        session["client_version"].as_str().unwrap().starts_with("2."),
        "{session}"
    );
    assert_eq!(session["client_platform"], "linux");
    let since: chrono::DateTime<chrono::Utc> = session["since"].as_str().unwrap().parse().unwrap();
    assert!(SystemTime::from(since) + Duration::from_secs(1) > before, "{session}");
    let hers = api.get("/api/users/alice/sessions").await.unwrap().expect(200).unwrap();
    assert_eq!(hers.items().len(), 1, "{}", hers.text);

    let path = format!("/api/sessions/{}", session["id"].as_str().unwrap());
    let began = SystemTime::now();
    api.delete(&path).await.unwrap().expect(204).unwrap();

    alice.is_cut(began, "the end of the session").await;
    alice.connection.client.exited(wait::SOON).await.unwrap();
    let left = sessions(&site).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(api.delete(&path).await.unwrap().status, 404);
    let audit = api.audit("?action=session_ended").await.unwrap();
    assert_eq!(audit.items()[0]["username"], "alice", "{}", audit.text);

    // The profile is as good as before.
    alice.connection.client.restart().await.unwrap();
    alice.connection.client.connected(wait::SOON).await.unwrap();
    wait::until(wait::SOON, "her new session", async || sessions(&site).await.len() == 2)
        .await
        .unwrap();
    assert_eq!(
        api.delete(&path).await.unwrap().status,
        404,
        "the new one has another id"
    );
    witness.lost_nothing().await;
}
