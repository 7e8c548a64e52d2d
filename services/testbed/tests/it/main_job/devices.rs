//! A user has devices, and one that is revoked takes no other with it.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use vpnmanager_testbed::wait;

use super::{
    profile,
    site::{Site, assert_synced},
};

/// How long the revocation may wait for the nodes.
const REVOKED: Duration = wait::under_load(Duration::from_secs(5));

/// Gives the user a device, waits until it is let in everywhere, and returns its profile.
pub(crate) async fn add_device(site: &Site, username: &str, name: &str) -> String {
    let api = site.stack.api();
    let created = api.create_device(username, name, Some(wait::SOON)).await.unwrap();
    let created = created.expect(201).unwrap();
    for done in ["synced", "issued"] {
        assert_eq!(created.body[done], true, "{}", created.text);
    }
    let profile = api.device_profile(username, name).await.unwrap();
    profile.expect(200).unwrap().text
}

/// Waits until exactly these devices of the user are connected, in the order of their names, and returns their sessions.
async fn connected(site: &Site, username: &str, devices: &[&str]) -> Vec<Value> {
    let api = site.stack.api();
    let path = format!("/api/sessions?username={username}");
    wait::until_ok(wait::SOON, format_args!("sessions of {devices:?}"), async || {
        let answer = api.get(&path).await.and_then(|answer| answer.expect(200));
        let answer = answer.map_err(|error| error.to_string())?;
        let mut sessions = answer.items().to_vec();
        sessions.sort_by_key(|session| device(session).to_owned());
        let are_they = sessions.iter().map(device).eq(devices.iter().copied());
        if are_they && answer.body["missing"] == json!([]) {
            Ok(sessions)
        } else {
            Err(answer.text)
        }
    })
    .await
    .unwrap()
}

/// The device that a session is of.
fn device(session: &Value) -> &str {
    session["device"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_revoked_device_is_cut_and_the_other_loses_no_ping() {
    let Some(site) = Site::with_tunnels("devices").await else {
        return;
    };
    let api = site.stack.api();
    let (first, second) = (site.create("alice").await, add_device(&site, "alice", "laptop").await);
    profile::assert_complete(&second, 2);
    for own in ["cert", "key", "tls-crypt-v2"] {
        assert_ne!(profile::block(&first, own), profile::block(&second, own), "{own}");
    }
    let (desktop, mut laptop) = tokio::join!(site.visit(&first), site.visit(&second));
    for session in connected(&site, "alice", &["default", "laptop"]).await {
        let shown = api
            .device("alice", device(&session))
            .await
            .unwrap()
            .expect(200)
            .unwrap();
        assert_eq!(shown.body["common_name"], session["common_name"], "{session}");
    }
    let both_addressed = |rows: &[Value]| rows.len() == 2 && rows.iter().all(|row| row["virtual_address"].is_string());
    site.history("alice", both_addressed).await;

    let began = SystemTime::now();
    let revoked = api.revoke_device("alice", "laptop", Some(REVOKED)).await.unwrap();

    assert_synced(&revoked.expect(200).unwrap());
    laptop.is_cut(began, "DELETE of a device").await;
    laptop.connection.client.exited(wait::SOON).await.unwrap();
    laptop.is_turned_away().await;
    site.refuses(&second).await;
    connected(&site, "alice", &["default"]).await;
    for gone in [
        api.device("alice", "laptop").await,
        api.device_profile("alice", "laptop").await,
    ] {
        gone.unwrap().expect(404).unwrap();
    }
    // Neither the other session has ended, nor did a refused login begin one.
    let has_ended = |rows: &[Value]| rows.iter().any(|row| row["ended_at"].is_string());
    let mut rows = site.history("alice", has_ended).await;
    rows.sort_by_key(|row| device(row).to_owned());
    let ends: Vec<(&str, &Value)> = rows.iter().map(|row| (device(row), &row["end"])).collect();
    assert_eq!(
        ends,
        [("default", &Value::Null), ("laptop", &json!("seen"))],
        "{rows:?}"
    );
    for action in ["device_created", "device_revoked"] {
        let audited = api.audit(&format!("?action={action}")).await.unwrap();
        assert_eq!(audited.items().len(), 1, "{}", audited.text);
        assert_eq!(audited.items()[0]["username"], "alice", "{}", audited.text);
    }
    desktop.lost_nothing().await;
}

#[tokio::test]
async fn a_device_that_gets_an_old_name_does_not_revive_the_old_profile() {
    let Some(site) = Site::with_tunnels("device again").await else {
        return;
    };
    let api = site.stack.api();
    site.create("alice").await;
    let old = add_device(&site, "alice", "laptop").await;
    site.lets_in(&old).await;
    let revoked = api.revoke_device("alice", "laptop", Some(wait::SOON)).await.unwrap();
    assert_synced(&revoked.expect(200).unwrap());

    let new = add_device(&site, "alice", "laptop").await;

    assert_ne!(profile::block(&old, "key"), profile::block(&new, "key"));
    site.refuses(&old).await;
    site.lets_in(&new).await;
}
