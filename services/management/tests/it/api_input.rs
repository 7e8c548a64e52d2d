//! Bad input is refused with the name of the wrong field, and changes nothing.

use std::time::Duration;

use poem::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stack::{ADMIN_KEY, Stack, WithKey as _, json_of, post, problem_of, registration};

async fn assert_refused(stack: &Stack, path: &str, body: Value, field: &str) {
    let (problem, fields) = problem_of(post(stack, path, &body).await, StatusCode::BAD_REQUEST).await;
    assert_eq!(fields, [field], "{body}: {problem}");
}

#[tokio::test]
async fn bad_users_are_refused_with_the_field() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let long = "x".repeat(300);
    let names = [
        "",
        &long,
        "../x",
        "a.b*>",
        "nul\0",
        "two\nlines",
        "\u{202e}evil\u{200f}",
        "DEFAULT",
        "default",
        "ünï",
        " a",
        "-a",
        "..",
    ];
    for name in names {
        assert_refused(&stack, "/api/users", json!({ "username": name }), "username").await;
    }
    for name in [json!(5), json!(null), json!(["a"]), json!({})] {
        assert_refused(&stack, "/api/users", json!({ "username": name }), "username").await;
    }
    let ends = [
        "+262142-12-31T00:00:00Z",
        "262142-12-31T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "soon",
        "2027-01-01",
        "",
    ];
    for end in ends {
        assert_refused(
            &stack,
            "/api/users",
            json!({ "username": "a", "expires_at": end }),
            "expires_at",
        )
        .await;
    }
    for server in ["a.b", "", "*", &long] {
        assert_refused(
            &stack,
            "/api/users",
            json!({ "username": "a", "server_id": server }),
            "server_id",
        )
        .await;
    }
    // These have the right form, and contradict the clock and the fleet.
    for (field, value) in [("expires_at", "2020-01-01T00:00:00Z"), ("server_id", "no-such-node")] {
        let body = json!({ "username": "a", field: value });
        let (problem, fields) = problem_of(post(&stack, "/api/users", &body).await, StatusCode::CONFLICT).await;
        assert_eq!(fields, [field], "{body}: {problem}");
    }
    let listed = stack.client().get("/api/users").admin().send().await;
    assert_eq!(json_of(listed, StatusCode::OK).await["items"], json!([]));
    let audit = stack
        .client()
        .get("/api/audit?action=user_created")
        .admin()
        .send()
        .await;
    assert_eq!(json_of(audit, StatusCode::OK).await["items"], json!([]));
}

#[tokio::test]
async fn a_word_that_an_enum_does_not_have_is_refused_with_the_field_and_the_words() {
    let stack = Stack::start().await;
    let body = json!({ "old_profiles": "burn" });
    assert_refused(&stack, "/api/users/alice/reissue", body.clone(), "old_profiles").await;

    let answer = post(&stack, "/api/users/alice/reissue", &body).await;
    let (problem, _) = problem_of(answer, StatusCode::BAD_REQUEST).await;

    let detail = problem["errors"][0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("keep") && detail.contains("revoke"), "{detail}");
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    let stack = Stack::start().await;
    let raw = async |content_type: &str, body: &str| {
        let client = stack.client();
        client
            .post("/api/users")
            .admin()
            .header("content-type", content_type)
            .body(body.to_owned())
            .send()
            .await
    };
    for body in [
        "",
        "{",
        "{\"username\": \"ali",
        "[]",
        "null",
        "\"alice\"",
        "{\"username\": \"a\"} x",
    ] {
        let (problem, fields) = problem_of(raw("application/json", body).await, StatusCode::BAD_REQUEST).await;
        assert!(fields == ["body"] || fields == ["username"], "{body}: {problem}");
    }
    problem_of(
        raw("text/plain", "{\"username\": \"a\"}").await,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    )
    .await;
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let stack = Stack::start().await;
    let cases = [
        ("/api/users?limit=0", "limit"),
        ("/api/users?limit=1001", "limit"),
        ("/api/users?cursor=x", "cursor"),
        ("/api/users?active=perhaps", "active"),
        ("/api/users?synced=2", "synced"),
        ("/api/users?server_id=a.b", "server_id"),
        ("/api/users?username=%2e%2e%2f", "username"),
        ("/api/users/..%2fx", "username"),
        ("/api/users/DEFAULT", "username"),
        ("/api/users/a%00b", "path"),
        ("/api/users/nobody/profile%00", "path"),
        ("/api/endnodes/a.b", "server_id"),
        ("/api/audit?since=yesterday", "since"),
        ("/api/audit?until=%2B262142-12-31T00:00:00Z", "until"),
        ("/api/audit?action=DROP%20TABLE", "action"),
        ("/api/audit?username=a%00", "username"),
        ("/api/join-tokens?cursor=42", "cursor"),
        ("/api/join-tokens?state=revoked", "state"),
    ];
    for (path, field) in cases {
        let response = stack.client().get(path).admin().send().await;
        let (problem, fields) = problem_of(response, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{path}: {problem}");
    }
    let response = stack.client().delete("/api/users/a?wait=61s").admin().send().await;
    assert_eq!(problem_of(response, StatusCode::BAD_REQUEST).await.1, ["wait"]);
    let response = stack.client().put("/api/users/a").admin().send().await;
    response.assert_header("allow", "DELETE, GET, HEAD, PATCH");
    problem_of(response, StatusCode::METHOD_NOT_ALLOWED).await;
}

#[tokio::test]
async fn bad_registrations_and_tokens_are_refused_with_the_field() {
    let stack = Stack::start().await;
    let with = |field: &str, value: Value| {
        let mut body = registration("node-1").with(field, value.clone()).body();
        body[field] = value;
        body
    };
    let account = nkeys::KeyPair::new_account().public_key();
    let cases = [
        ("server_id", json!("a.b")),
        ("bus_public_key", json!("U")),
        ("bus_public_key", json!(account)),
        ("csr", json!("not a request")),
        ("csr", json!("x".repeat(9000))),
        ("host", json!("not a host")),
        ("host", json!("evil\nremote 1.2.3.4")),
        ("port", json!(0)),
        ("port", json!(65536)),
        ("port", json!("x")),
        ("protocol", json!("sctp")),
        ("pool", json!("a b")),
        ("capacity", json!(0)),
        ("agent_version", json!("x".repeat(65))),
        ("at", json!("yesterday")),
        ("at", json!("+262142-12-31T23:59:59Z")),
        ("at", Value::Null),
        ("signature", json!("not base64url!")),
        ("signature", json!("A".repeat(257))),
        ("signature", Value::Null),
    ];
    for (field, value) in cases {
        assert_refused(&stack, "/api/endnodes/register", with(field, value), field).await;
    }
    for ttl in ["", "0s", "8days", "soon", "1", "-1h", "99999999999999999years"] {
        assert_refused(&stack, "/api/join-tokens", json!({ "ttl": ttl }), "ttl").await;
    }
    assert_refused(&stack, "/api/join-tokens", json!({ "server_id": "a b" }), "server_id").await;
    let listed = stack.client().get("/api/endnodes").admin().send().await;
    assert_eq!(json_of(listed, StatusCode::OK).await["items"], json!([]));
}

#[tokio::test]
async fn a_change_has_three_states_and_refuses_the_past() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    let change = async |body: Value| {
        stack
            .client()
            .patch("/api/users/alice")
            .admin()
            .body_json(&body)
            .send()
            .await
    };
    let until = "2999-01-01T00:00:00Z";

    let changed = json_of(change(json!({ "expires_at": until })).await, StatusCode::OK).await;
    assert_eq!(
        (&changed["expires_at"], &changed["revision"], &changed["expired"]),
        (&json!(until), &json!(2), &json!(false))
    );
    let suspended = json_of(change(json!({ "active": false })).await, StatusCode::OK).await;
    assert_eq!(
        (&suspended["expires_at"], &suspended["active"]),
        (&json!(until), &json!(false))
    );
    let unchanged = json_of(change(json!({})).await, StatusCode::OK).await;
    assert_eq!(unchanged["revision"], 3);
    let endless = json_of(
        change(json!({ "expires_at": null, "active": true })).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(
        (endless.get("expires_at"), &endless["active"], &endless["revision"]),
        (None, &json!(true), &json!(4))
    );

    for (end, status) in [
        ("2020-01-01T00:00:00Z", StatusCode::CONFLICT),
        ("+262142-12-31T00:00:00Z", StatusCode::BAD_REQUEST),
    ] {
        let response = change(json!({ "expires_at": end })).await;
        assert_eq!(problem_of(response, status).await.1, ["expires_at"]);
    }
    assert_eq!(
        problem_of(change(json!({ "active": "no" })).await, StatusCode::BAD_REQUEST)
            .await
            .1,
        ["active"]
    );
    let nobody = stack
        .client()
        .patch("/api/users/nobody")
        .admin()
        .body_json(&json!({ "active": false }))
        .send()
        .await;
    problem_of(nobody, StatusCode::NOT_FOUND).await;
}

/// Bodies of 200 MB, with their length or in chunks, are answered before they are sent.
#[tokio::test]
async fn a_huge_body_is_refused_without_reading_it() {
    const PATIENCE: Duration = Duration::from_secs(10);
    let stack = Stack::start().await;
    let address = stack.serve().await;
    let head =
        format!("POST /api/users HTTP/1.1\r\nhost: x\r\nx-api-key: {ADMIN_KEY}\r\ncontent-type: application/json\r\n");

    let mut announced = TcpStream::connect(address).await.expect("connected");
    announced
        .write_all(format!("{head}content-length: 200000000\r\n\r\n").as_bytes())
        .await
        .expect("sent");
    let mut answer = [0; 64];
    let read = tokio::time::timeout(PATIENCE, announced.read(&mut answer))
        .await
        .expect("an answer in time")
        .expect("readable");
    assert!(
        answer[..read].starts_with(b"HTTP/1.1 413 "),
        "{}",
        String::from_utf8_lossy(&answer[..read])
    );

    let chunked = TcpStream::connect(address).await.expect("connected");
    let (mut reader, mut writer) = chunked.into_split();
    let mut answer = Vec::new();
    let mut sent = 0_usize;
    let sending = async {
        writer
            .write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes())
            .await?;
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        while sent < 200_000_000 {
            writer.write_all(&chunk).await?;
            sent += 0x10000;
        }
        Ok::<_, std::io::Error>(())
    };
    let mut buffer = [0; 64];
    tokio::select! {
        _ = sending => {}
        read = reader.read(&mut buffer) => answer.extend_from_slice(&buffer[..read.expect("readable")]),
    }
    if answer.is_empty() {
        let read = tokio::time::timeout(PATIENCE, reader.read(&mut buffer))
            .await
            .expect("an answer in time")
            .expect("readable");
        answer.extend_from_slice(&buffer[..read]);
    }
    assert!(
        answer.starts_with(b"HTTP/1.1 413 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    // Some of it fits into the buffers of the sockets, but by far not all.
    assert!(sent < 50_000_000, "{sent} bytes were taken");
}
