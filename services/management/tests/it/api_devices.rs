//! The devices of a user over HTTP.

use poem::http::StatusCode;
use poem::test::TestResponse;
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, TransactionTrait as _};
use serde_json::{Value, json};
use vpnmanager_entities::credential;
use vpnmanager_nats::device::MOST_DEVICES;
use vpnmanager_nats::ids::CommonName;
use vpnmanager_nats::node_requests::NodeAnswer;
use vpnmanager_testbed::wait;

use crate::api_profile::home::Home;
use crate::database::{run, until};
use crate::stack::{Stack, WithKey as _, json_of, problem_of};

const DEVICES: &str = "/api/users/alice/devices";

async fn get(stack: &Stack, path: &str) -> TestResponse {
    stack.client().get(path).admin().send().await
}

async fn post(stack: &Stack, path: &str, body: Value) -> TestResponse {
    stack.client().post(path).admin().body_json(&body).send().await
}

async fn delete(stack: &Stack, path: &str) -> TestResponse {
    stack.client().delete(path).admin().send().await
}

async fn add(stack: &Stack, name: &str) -> Value {
    json_of(post(stack, DEVICES, json!({ "name": name })).await, StatusCode::CREATED).await
}

async fn names(stack: &Stack) -> Vec<String> {
    let list = json_of(get(stack, DEVICES).await, StatusCode::OK).await;
    let items = list["items"].as_array().expect("items").clone();
    items
        .iter()
        .map(|device| device["name"].as_str().expect("a name").to_owned())
        .collect()
}

async fn alice() -> Stack {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    stack
}

#[tokio::test]
async fn a_device_is_created_listed_read_and_revoked() {
    let stack = alice().await;
    let response = post(&stack, DEVICES, json!({ "name": "laptop" })).await;
    response.assert_header("location", "/api/users/alice/devices/laptop");
    let created = json_of(response, StatusCode::CREATED).await;
    assert_eq!(
        (
            &created["name"],
            &created["issued"],
            &created["credentials"],
            &created["synced"]
        ),
        (&json!("laptop"), &json!(false), &json!(1), &json!(false))
    );
    assert!(created["created_at"].is_string(), "{created}");
    for absent in ["checksum", "certificate_expires_at", "last_access"] {
        assert_eq!(created.get(absent), None, "{created}");
    }
    assert_eq!(names(&stack).await, ["default", "laptop"]);

    let made = "UPDATE credentials SET profile_checksum = 'c0ffee', not_after = '2999-01-01T00:00:00Z' WHERE device = 'laptop'";
    run(&stack.app.db, made).await;
    let laptop = json_of(get(&stack, "/api/users/alice/devices/laptop").await, StatusCode::OK).await;
    assert_eq!(
        (&laptop["issued"], &laptop["checksum"], &laptop["common_name"]),
        (&json!(true), &json!("c0ffee"), &created["common_name"])
    );
    assert_eq!(laptop["certificate_expires_at"], "2999-01-01T00:00:00Z");
    assert_eq!(laptop.get("synced"), None, "{laptop}");

    let removed = json_of(delete(&stack, "/api/users/alice/devices/laptop").await, StatusCode::OK).await;
    assert_eq!(
        (
            &removed["username"],
            &removed["revision"],
            &removed["nodes"][0]["wanted_revision"]
        ),
        (&json!("alice"), &json!(3), &json!(3))
    );
    assert_eq!(names(&stack).await, ["default"]);
    for response in [
        get(&stack, "/api/users/alice/devices/laptop").await,
        get(&stack, "/api/users/alice/devices/laptop/profile").await,
        delete(&stack, "/api/users/alice/devices/laptop").await,
        post(&stack, "/api/users/alice/devices/laptop/reissue", json!({})).await,
    ] {
        let (problem, _) = problem_of(response, StatusCode::NOT_FOUND).await;
        assert_eq!(problem["detail"], "there is no device laptop");
    }
    assert_ne!(add(&stack, "laptop").await["common_name"], created["common_name"]);
}

#[tokio::test]
async fn a_name_is_refused_when_it_is_malformed_taken_or_one_too_many() {
    let stack = alice().await;
    for name in [
        "",
        ".x",
        "a b",
        "a/b",
        "..",
        "J\u{f6}rg",
        "\u{1f4f1}",
        "a\n",
        &"x".repeat(33),
    ] {
        let response = post(&stack, DEVICES, json!({ "name": name })).await;
        let (problem, fields) = problem_of(response, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["name"], "{name:?}: {problem}");
    }
    add(&stack, "Laptop").await;
    for name in ["default", "Laptop", "laptop"] {
        let taken = post(&stack, DEVICES, json!({ "name": name })).await;
        assert_eq!(problem_of(taken, StatusCode::CONFLICT).await.1, ["name"], "{name}");
    }
    for name in ["Laptop", "default"] {
        json_of(delete(&stack, &format!("{DEVICES}/{name}")).await, StatusCode::OK).await;
    }
    // There would be two of them as soon as it comes back.
    let like_default = post(&stack, DEVICES, json!({ "name": "Default" })).await;
    assert_eq!(problem_of(like_default, StatusCode::CONFLICT).await.1, ["name"]);
    add(&stack, "default").await;
    let (problem, fields) = problem_of(
        get(&stack, "/api/users/alice/devices/a%20b").await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    assert_eq!(fields, ["device"], "{problem}");
    for number in 1..MOST_DEVICES {
        add(&stack, &format!("device-{number}")).await;
    }
    let (problem, _) = problem_of(
        post(&stack, DEVICES, json!({ "name": "more" })).await,
        StatusCode::CONFLICT,
    )
    .await;
    assert!(problem.to_string().contains("the user has 16 devices"), "{problem}");

    for response in [
        get(&stack, "/api/users/nobody/devices").await,
        post(&stack, "/api/users/nobody/devices", json!({ "name": "laptop" })).await,
        delete(&stack, "/api/users/nobody/devices/default").await,
    ] {
        problem_of(response, StatusCode::NOT_FOUND).await;
    }
}

/// The devices that are there stay when the limit is lowered.
#[tokio::test]
async fn a_group_may_allow_fewer_devices_and_who_has_more_keeps_them() {
    let stack = alice().await;
    let in_group = async |devices: &str| {
        let change = format!(
            "INSERT INTO groups (name, devices) VALUES ('staff', {devices}) ON CONFLICT (name) DO UPDATE SET devices = EXCLUDED.devices;
             UPDATE users SET group_name = 'staff'"
        );
        run(&stack.app.db, &change).await;
    };
    let is_one_too_many = async |response: TestResponse, allowed: usize, held: usize| {
        let (problem, fields) = problem_of(response, StatusCode::CONFLICT).await;
        let said = format!("the most devices that the group staff allows is {allowed}, and the user has {held}: ");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.starts_with(&said) && fields.is_empty(), "{problem}");
    };
    in_group("2").await;
    add(&stack, "laptop").await;
    is_one_too_many(post(&stack, DEVICES, json!({ "name": "phone" })).await, 2, 2).await;

    in_group("1").await;
    assert_eq!(names(&stack).await, ["default", "laptop"]);
    is_one_too_many(post(&stack, DEVICES, json!({ "name": "phone" })).await, 1, 2).await;
    let reissue = "/api/users/alice/devices/laptop/reissue";
    json_of(post(&stack, reissue, json!({})).await, StatusCode::OK).await;

    // To bring back a device is to create it.
    json_of(delete(&stack, &format!("{DEVICES}/default")).await, StatusCode::OK).await;
    is_one_too_many(post(&stack, "/api/users/alice/reissue", json!({})).await, 1, 1).await;
    in_group("NULL").await;
    json_of(
        post(&stack, "/api/users/alice/reissue", json!({})).await,
        StatusCode::OK,
    )
    .await;
    add(&stack, "phone").await;
}

/// Whoever waits for a device must not hear that it is there when somebody else has revoked it meanwhile.
#[tokio::test]
async fn a_create_whose_device_is_revoked_while_it_waits_is_not_answered_with_it() {
    let stack = alice().await;
    let waiting = post(&stack, "/api/users/alice/devices?wait=60s", json!({ "name": "laptop" }));
    let revoke = async {
        let is_there = async || names(&stack).await.contains(&"laptop".to_owned());
        wait::until(wait::SOON, "the device to be recorded", is_there)
            .await
            .expect("recorded");
        json_of(delete(&stack, "/api/users/alice/devices/laptop").await, StatusCode::OK).await;
    };
    let (answer, ()) = tokio::join!(waiting, revoke);
    problem_of(answer, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn a_suspended_user_gets_devices_too() {
    let stack = alice().await;
    let client = stack.client();
    let suspend = client.patch("/api/users/alice").admin();
    let suspended = suspend.body_json(&json!({ "active": false })).send().await;
    json_of(suspended, StatusCode::OK).await;
    add(&stack, "laptop").await;
    assert_eq!(names(&stack).await, ["default", "laptop"]);
}

#[tokio::test]
async fn the_default_device_may_be_revoked_and_comes_back_with_a_reissue() {
    let stack = alice().await;
    json_of(delete(&stack, "/api/users/alice/devices/default").await, StatusCode::OK).await;
    assert!(names(&stack).await.is_empty());
    let (problem, _) = problem_of(get(&stack, "/api/users/alice/profile").await, StatusCode::NOT_FOUND).await;
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("no device default") && detail.contains("POST /api/users/{username}/devices"),
        "{detail}"
    );
    json_of(
        post(&stack, "/api/users/alice/reissue", json!({})).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(names(&stack).await, ["default"]);
    json_of(delete(&stack, "/api/users/alice/devices/default").await, StatusCode::OK).await;
    add(&stack, "default").await;
    assert_eq!(names(&stack).await, ["default"]);
}

/// The credential of the newest device of that name.
async fn credential_of(home: &Home, device: &str) -> CommonName {
    let found = credential::Entity::find()
        .filter(credential::Column::Device.eq(device))
        .filter(credential::COLUMN.revoked_at.is_null())
        .one(&home.stack.app.db)
        .await
        .expect("read");
    found.expect("a credential").common_name
}

/// Gives alice a laptop, whose profile the home holds.
async fn home_of_laptop(settings: &[(&str, &str)]) -> Home {
    let home = Box::pin(Home::start_with(settings)).await;
    home.issued("alice").await;
    add(&home.stack, "laptop").await;
    let name = credential_of(&home, "laptop").await;
    let parts = home.certify(name).await;
    let acked = "UPDATE credentials SET profile_checksum = 'c0ffee' WHERE device = 'laptop'";
    run(&home.stack.app.db, acked).await;
    home.answers(NodeAnswer::ProfileParts(parts));
    home
}

#[tokio::test]
async fn each_device_has_a_profile_of_its_own() {
    let home = home_of_laptop(&[]).await;
    let stack = &home.stack;
    let path = "/api/users/alice/devices/laptop/profile";
    let response = get(stack, path).await;
    response.assert_status_is_ok();
    response.assert_header("content-disposition", "attachment; filename=\"alice+laptop.ovpn\"");
    let etag = response.0.headers()["etag"].to_str().expect("text").to_owned();
    let client = stack.client();
    let known = client.get(path).admin().header("if-none-match", &etag).send().await;
    known.assert_status(StatusCode::NOT_MODIFIED);

    // The home sends the parts of the laptop whatever it is asked for.
    let other = get(stack, "/api/users/alice/devices/default/profile").await;
    problem_of(other, StatusCode::BAD_GATEWAY).await;
    problem_of(home.profile_of("alice").await, StatusCode::BAD_GATEWAY).await;
    let read = json_of(get(stack, "/api/audit?action=user_profile_read").await, StatusCode::OK).await;
    assert_eq!(read["items"].as_array().map(Vec::len), Some(1), "{read}");
    assert_eq!(read["items"][0]["details"], "the profile of the device laptop");
}

#[tokio::test]
async fn a_link_hands_out_the_profile_of_its_device_and_ends_with_it() {
    let home = home_of_laptop(&[("PUBLIC_URL", "https://vpn.example.com")]).await;
    let stack = &home.stack;
    let link = async |device: &str| {
        let path = format!("/api/users/alice/devices/{device}/link");
        let made = json_of(post(stack, &path, json!({ "uses": 2 })).await, StatusCode::CREATED).await;
        let url = made["url"].as_str().expect("a URL").to_owned();
        url.strip_prefix("https://vpn.example.com")
            .expect("the public URL")
            .to_owned()
    };
    let (of_laptop, of_default) = (link("laptop").await, link("default").await);
    let listed = json_of(get(stack, "/api/users/alice/links").await, StatusCode::OK).await;
    assert_eq!(
        (&listed["items"][0]["device"], &listed["items"][1]["device"]),
        (&json!("default"), &json!("laptop"))
    );
    let page = stack.client().get(&of_laptop).send().await;
    let page = page.0.into_body().into_string().await.expect("a text");
    assert!(page.contains("Get alice+laptop.ovpn"), "{page}");
    let taken = stack.client().post(&of_laptop).send().await;
    taken.assert_status_is_ok();
    taken.assert_header("content-disposition", "attachment; filename=\"alice+laptop.ovpn\"");

    json_of(delete(stack, "/api/users/alice/devices/laptop").await, StatusCode::OK).await;
    let gone = stack.client().post(&of_laptop).send().await;
    gone.assert_status(StatusCode::GONE);
    let open = stack.client().get(&of_default).send().await;
    open.assert_status_is_ok();
    let revoked = json_of(
        get(stack, "/api/audit?action=profile_link_revoked").await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(revoked["items"].as_array().map(Vec::len), Some(1), "{revoked}");
    assert_eq!(revoked["items"][0]["before"]["device"], "laptop");
}

/// Otherwise the link would hand out the profile of the next device with this name.
#[tokio::test]
async fn no_link_is_made_to_a_device_that_is_revoked_meanwhile() {
    let home = home_of_laptop(&[("PUBLIC_URL", "https://vpn.example.com")]).await;
    let stack = &home.stack;
    let revoking = stack.app.db.begin().await.expect("begun");
    let lock = "SELECT id FROM users WHERE username = 'alice' FOR UPDATE";
    revoking.execute_unprepared(lock).await.expect("locked");
    let link = post(stack, "/api/users/alice/devices/laptop/link", json!({}));
    let revoke = async {
        let waits = "SELECT count(*) AS waiting FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until(&stack.app.db, "the link to wait for the user", waits).await;
        let revoked = "UPDATE credentials SET revoked_at = now() WHERE device = 'laptop'";
        revoking.execute_unprepared(revoked).await.expect("revoked");
        revoking.commit().await.expect("committed");
    };
    let (answer, ()) = tokio::join!(link, revoke);
    problem_of(answer, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn a_reissue_that_revokes_ends_the_profiles_and_links_of_its_device_only() {
    let home = home_of_laptop(&[("PUBLIC_URL", "https://vpn.example.com")]).await;
    let stack = &home.stack;
    for device in ["default", "laptop"] {
        let path = format!("/api/users/alice/devices/{device}/link");
        json_of(post(stack, &path, json!({})).await, StatusCode::CREATED).await;
    }
    let before = credential_of(&home, "default").await;
    let path = "/api/users/alice/devices/laptop/reissue";
    let body = json!({ "old_profiles": "revoke" });
    let reissued = json_of(post(stack, path, body).await, StatusCode::OK).await;
    assert_eq!(reissued["revision"], 3);
    let laptop = json_of(get(stack, "/api/users/alice/devices/laptop").await, StatusCode::OK).await;
    assert_eq!((&laptop["issued"], &laptop["credentials"]), (&json!(false), &json!(1)));
    assert_eq!(credential_of(&home, "default").await, before);
    let listed = json_of(get(stack, "/api/users/alice/links").await, StatusCode::OK).await;
    let items = listed["items"].as_array().expect("items");
    assert_eq!((items.len(), &items[0]["device"]), (1, &json!("default")));
}
