//! The local API: bad input, keys, lists from management's hand.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vpnmanager_endnode::api;
use vpnmanager_openapi::spec::trials;

use crate::{bus::fleet, parts::User};

fn wanted(user: &User, revision: i64) -> Value {
    json!({
        "type": "put_user", "user_key": user.key, "username": user.username, "revision": revision, "active": true,
        "role": "standby", "credentials": [user.credential],
    })
}

#[tokio::test]
async fn every_operation_refuses_a_parameter_and_a_member_that_it_does_not_know() {
    let (_management, agent) = fleet().await;
    let trials = trials(&api::spec());
    assert!(trials.len() > 8, "{}", trials.len());
    for trial in trials {
        let method: Method = trial.method.parse().unwrap();
        let (status, problem) = agent.call(method, &trial.path, trial.body.clone()).await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{trial:?}: {problem}");
        assert_eq!(problem["errors"][0]["field"], trial.field, "{trial:?}: {problem}");
    }
}

#[tokio::test]
async fn bad_input_is_a_problem_that_names_the_field() {
    let (_management, agent) = fleet().await;
    let long = "x".repeat(300);
    for name in [
        "",
        &long,
        "../x",
        "a.b*>",
        "nul\0",
        "two\nlines",
        "\u{202e}evil",
        "DEFAULT",
    ] {
        let (status, problem) = agent
            .call(Method::POST, "/api/users", Some(json!({ "username": name })))
            .await
            .unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name:?}: {problem}");
        assert_eq!(problem["errors"][0]["field"], "username", "{name:?}: {problem}");
    }
    for (end, expected) in [
        ("2020-01-01T00:00:00Z", StatusCode::CONFLICT),
        ("+262142-12-31T00:00:00Z", StatusCode::BAD_REQUEST),
        ("soon", StatusCode::BAD_REQUEST),
    ] {
        let body = json!({ "username": "alice", "expires_at": end });
        let (status, problem) = agent.call(Method::POST, "/api/users", Some(body)).await.unwrap();
        assert_eq!(status, expected, "{end}: {problem}");
        assert_eq!(problem["errors"][0]["field"], "expires_at", "{end}: {problem}");
    }
    let (status, _) = agent.call(Method::GET, "/api/users/%2e%2e%2fx", None).await.unwrap();
    assert!(status.is_client_error(), "{status}");
    let (status, problem) = agent.call(Method::GET, "/api/users/nobody", None).await.unwrap();
    assert_eq!((status, problem["status"].as_u64()), (StatusCode::NOT_FOUND, Some(404)));
    let (status, _) = agent.call(Method::PUT, "/api/users", None).await.unwrap();
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, _) = agent.call(Method::GET, "/api/users?limit=0", None).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn no_operation_but_health_and_the_documents_answers_without_the_key() {
    let (_management, agent) = fleet().await;
    let client = reqwest::Client::new();
    let base = agent.base_url();
    for (method, path) in [
        (Method::GET, "/api/users"),
        (Method::POST, "/api/sync/users"),
        (Method::DELETE, "/api/users/alice"),
    ] {
        for key in [None, Some("wrong")] {
            let mut request = client
                .request(method.clone(), format!("{base}{path}"))
                .json(&json!({ "users": [] }));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let response = request.send().await.unwrap();
            assert_eq!(
                response.status(),
                StatusCode::UNAUTHORIZED,
                "{method} {path} with {key:?}"
            );
            assert!(response.headers().contains_key("www-authenticate"));
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
    }
    for path in [
        "/health",
        "/health/live",
        "/health/ready",
        "/docs",
        "/openapi.json",
        "/openapi.yaml",
    ] {
        let response = client.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    let bearer = client
        .get(format!("{base}/api/users"))
        .bearer_auth(crate::agent::KEY)
        .send()
        .await
        .unwrap();
    assert_eq!(bearer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_list_is_applied_by_the_rules_of_commands() {
    let (_management, agent) = fleet().await;
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    let sync = async |full: bool, users: Vec<Value>| {
        let body = json!({ "full": full, "users": users });
        let (status, answer) = agent.call(Method::POST, "/api/sync/users", Some(body)).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    };

    let answer = sync(false, vec![wanted(&alice, 2), wanted(&bob, 1)]).await;
    assert_eq!(answer["changed"], json!(["alice", "bob"]));
    assert_eq!(agent.allowed().len(), 2);

    let mut wrong = wanted(&User::new("carol"), 1);
    wrong["username"] = json!("../carol");
    let answer = sync(false, vec![wanted(&alice, 1), wanted(&bob, 1), wrong]).await;
    assert_eq!(
        (answer["changed"].clone(), answer["unchanged"].clone()),
        (json!([]), json!(1))
    );
    let refused: Vec<&str> = answer["refused"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|user| user["username"].as_str())
        .collect();
    assert_eq!(refused, ["../carol", "alice"]);

    let answer = sync(true, vec![wanted(&alice, 2)]).await;
    assert_eq!(answer["changed"], json!(["bob"]));
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);
}

#[tokio::test]
async fn what_the_journal_could_not_read_again_is_refused_by_its_field() {
    let (_management, agent) = fleet().await;
    for (field, value) in [
        ("revision", json!(0)),
        ("revision", json!(9_007_199_254_740_992_i64)),
        ("revision", json!(i64::MAX)),
        ("expires_at", json!("1969-12-31T23:59:59Z")),
    ] {
        let mut user = wanted(&User::new("alice"), 1);
        user[field] = value.clone();
        let body = json!({ "users": [user] });
        let (status, answer) = agent.call(Method::POST, "/api/sync/users", Some(body)).await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{value}: {answer}");
        let named = answer["errors"][0]["field"].as_str().unwrap_or_default();
        assert!(named.ends_with(field), "{value}: {answer}");
        if value == json!(9_007_199_254_740_992_i64) {
            assert_eq!(answer["errors"][0]["detail"], "must be less than 9007199254740992");
        }
    }

    let mut last = wanted(&User::new("bob"), 9_007_199_254_740_991);
    last["expires_at"] = json!("9999-12-31T23:59:59Z");
    let body = json!({ "users": [last] });
    let (status, answer) = agent.call(Method::POST, "/api/sync/users", Some(body)).await.unwrap();
    assert_eq!(
        (status, &answer["changed"]),
        (StatusCode::OK, &json!(["bob"])),
        "{answer}"
    );
    let (_, bob) = agent.call(Method::GET, "/api/users/bob", None).await.unwrap();
    assert_eq!(bob["revision"], json!(9_007_199_254_740_991_i64), "{bob}");
}

#[tokio::test]
async fn strangers_do_not_keep_the_operator_out_and_send_no_body_without_the_key() {
    let (_management, agent) = fleet().await;
    let address = agent.base_url().trim_start_matches("http://").to_owned();
    let send = async |head: &str| {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        // The agent may have closed it already.
        let _closed = socket.write_all(head.as_bytes()).await;
        socket
    };
    let mut silent = Vec::new();
    for number in 0..400 {
        silent.push(send(["", "G", "POST /api/sync/users HTTP/1.1\r\nhost: x\r\n"][number % 3]).await);
    }
    let mut without_key = send("POST /api/sync/users HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await;
    let mut answer = [0; 12];
    without_key.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");

    // More than any other operation takes.
    let users: Vec<Value> = (0..1000)
        .map(|number| wanted(&User::new(&format!("user-{number}")), 1))
        .collect();
    let body = json!({ "full": false, "users": users });
    assert!(body.to_string().len() > 100_000);
    let (status, answer) = agent.call(Method::POST, "/api/sync/users", Some(body)).await.unwrap();

    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["changed"].as_array().map(Vec::len), Some(1000));
}
