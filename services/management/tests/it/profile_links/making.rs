//! Making links, listing and revoking them.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use poem::http::StatusCode;
use serde_json::json;
use vpnmanager_management::app::App;
use vpnmanager_management::database_clock::DatabaseClock;
use vpnmanager_management::domain::actor::Actor;
use vpnmanager_management::ops::links::create::{LinkTerms, create_link};
use vpnmanager_nats::device::DeviceName;
use vpnmanager_nats::username::Username;

use super::{audited, home_of_alice, make, open, post, resume, suspend};
use crate::database::run;
use crate::stack::{Stack, WithKey as _, problem_of};

const LINK: &str = "/api/users/alice/devices/default/link";

#[tokio::test]
async fn a_link_is_shown_once_and_listed_without_its_token() {
    let home = home_of_alice().await;
    let response = post(&home.stack, LINK, &json!({})).await;
    response.assert_header("cache-control", "no-store");
    response.assert_status(StatusCode::CREATED);
    let twice = make(&home.stack, json!({ "ttl": "7days", "uses": 2 })).await;

    let listed = open(&home.stack).await;

    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(
        (&listed[0]["id"], &listed[0]["uses_left"], &listed[1]["uses_left"]),
        (&json!(twice.id), &json!(2), &json!(1))
    );
    assert_eq!(listed[0]["created_by"], "key:admin");
    assert_eq!(listed[0]["device"], "default");
    assert!(listed[0].get("last_used_at").is_none(), "{listed:?}");
    assert!(!format!("{listed:?}").contains("vpnlink-"), "{listed:?}");
}

#[tokio::test]
async fn a_revoked_link_leaves_the_list_and_only_its_user_has_it() {
    let home = home_of_alice().await;
    home.issued("bob").await;
    let made = make(&home.stack, json!({})).await;
    let client = home.stack.client();
    let revoke = async |user: &str, id: i64| {
        let path = format!("/api/users/{user}/links/{id}");
        client.delete(path).admin().send().await
    };

    let (problem, _) = problem_of(revoke("bob", made.id).await, StatusCode::NOT_FOUND).await;
    assert_eq!(problem["detail"], "the user has no such link");
    problem_of(revoke("alice", 4711).await, StatusCode::NOT_FOUND).await;
    problem_of(revoke("nobody", made.id).await, StatusCode::NOT_FOUND).await;
    for _ in 0..2 {
        revoke("alice", made.id).await.assert_status(StatusCode::NO_CONTENT);
    }

    assert!(open(&home.stack).await.is_empty());
    let entries = audited(&home.stack, "profile_link_revoked").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(
        (&entries[0]["username"], &entries[0]["before"]["id"]),
        (&json!("alice"), &json!(made.id))
    );
}

#[tokio::test]
async fn terms_out_of_bounds_and_other_devices_are_refused() {
    let home = home_of_alice().await;
    for (wish, field) in [
        (json!({ "ttl": "0s" }), "ttl"),
        (json!({ "ttl": "8days" }), "ttl"),
        (json!({ "uses": 0 }), "uses"),
        (json!({ "uses": 11 }), "uses"),
        (json!({ "use": 1 }), "use"),
    ] {
        let response = post(&home.stack, LINK, &wish).await;
        let (problem, fields) = problem_of(response, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{problem}");
    }
    let response = post(&home.stack, "/api/users/alice/devices/phone/link", &json!({})).await;
    let (problem, _) = problem_of(response, StatusCode::NOT_FOUND).await;
    assert_eq!(problem["detail"], "there is no device phone");
    let response = post(&home.stack, "/api/users/nobody/devices/default/link", &json!({})).await;
    problem_of(response, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn there_is_no_link_for_whom_a_profile_would_open_nothing() {
    let home = home_of_alice().await;
    let refusal = async |path: &str| {
        let response = post(&home.stack, path, &json!({})).await;
        let (problem, _) = problem_of(response, StatusCode::CONFLICT).await;
        problem["detail"].as_str().expect("a detail").to_owned()
    };
    suspend(&home.stack).await;
    assert!(refusal(LINK).await.contains("suspended"));
    resume(&home.stack).await;
    let end = "UPDATE users SET expires_at = now() - interval '1 second' WHERE username = 'alice'";
    run(&home.stack.app.db, end).await;
    assert!(refusal(LINK).await.contains("access of the user ended at"));
    home.stack.create_user("carol").await;
    let early = refusal("/api/users/carol/devices/default/link").await;
    assert!(early.contains("not made yet"), "{early}");
    assert!(open(&home.stack).await.is_empty());
}

#[tokio::test]
async fn the_end_of_a_link_goes_by_the_clock_that_judges_it() {
    let home = home_of_alice().await;
    let app = App {
        clock: DatabaseClock::ahead_by(TimeDelta::hours(1)),
        ..home.stack.app.clone()
    };
    let terms = LinkTerms {
        time_to_live: Duration::from_secs(600),
        uses: 1,
    };
    let alice: Username = "alice".parse().expect("a valid username");
    let made = create_link(&app, &Actor::system(), &alice, &DeviceName::default(), terms).await;
    let off = made.expect("made").expires_at - (Utc::now() + TimeDelta::minutes(70));
    assert!(off.abs() < TimeDelta::minutes(1), "{off}");
}

/// What a request says of its host is not believed.
#[tokio::test]
async fn without_a_public_url_there_are_no_links() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    let (problem, _) = problem_of(post(&stack, LINK, &json!({})).await, StatusCode::CONFLICT).await;
    assert!(problem.to_string().contains("set PUBLIC_URL"), "{problem}");
}
