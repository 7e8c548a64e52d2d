//! Heads that are too large, ambiguous, old or sent at once.

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use vpnmanager_openapi::server::HttpConfig;

use crate::running::{ECHO, HELLO, LAST_HELLO, answer, connect, exchange, rest, start};

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let running = start(HttpConfig::default()).await;
    let long = "x".repeat(500_000);
    let many = "a: b\r\n".repeat(100);
    for head in [
        format!("GET /hello HTTP/1.1\r\nhost: x\r\ncookie: {long}\r\n\r\n"),
        format!("GET /hello HTTP/1.1\r\nhost: x\r\n{long}: x\r\n\r\n"),
        format!("GET /hello HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
        format!("GET /hello?{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
    ] {
        let answered = exchange(&running, &head).await;
        assert!(
            answered.starts_with("HTTP/1.1 431") || answered.starts_with("HTTP/1.1 414"),
            "{answered}"
        );
        is_a_problem(&answered);
    }
    // Also behind a request that was answered, sent at once or later.
    let long = format!("GET /hello HTTP/1.1\r\nhost: x\r\ncookie: {long}\r\n\r\n");
    let mut kept = connect(&running, HELLO).await;
    answer(&mut kept, "hello").await;
    kept.write_all(&long.as_bytes()[..40_000]).await.unwrap();
    is_a_problem(&rest(&mut kept).await);
    let both = exchange(&running, format!("{HELLO}{long}")).await;
    assert!(both.contains("hello") && both.contains("HTTP/1.1 431"), "{both}");
}

/// The answer is a whole problem with our conventions, and the last one of its connection.
fn is_a_problem(answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!(
        Some(problem["status"].to_string().as_str()),
        head.split(' ').nth(1),
        "{answer}"
    );
    assert!(problem["detail"].is_string(), "{answer}");
    for line in [
        "content-type: application/problem+json",
        "connection: close",
        "cache-control: no-store",
        &format!("content-length: {}", body.len()),
    ] {
        assert!(head.lines().any(|other| other == line), "{line}: {answer}");
    }
}

#[tokio::test]
async fn a_head_that_leaves_open_what_is_meant_is_400() {
    let running = start(HttpConfig::default()).await;
    let with = |lines: &str| format!("GET /hello HTTP/1.1\r\n{lines}\r\n");
    for request in [
        with(""),
        with("host: x\r\nhost: x\r\n"),
        with("host: x\r\nhost: y\r\n"),
        with("host: x, y\r\n"),
        with("host: admin@x\r\n"),
        "GET http://x/hello HTTP/1.1\r\n\r\n".to_owned(),
        "GET /hello HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n".to_owned(),
    ] {
        let answer = exchange(&running, &request).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 400"),
            "{request}: {answer}"
        );
        assert!(answer.contains("\"field\":\"Host\""), "{request}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    // These do not even parse.
    for request in [
        format!("{ECHO}content-length: 3\r\ncontent-length: 4\r\n\r\nabc"),
        format!("{ECHO}content-length: +3\r\n\r\nabc"),
        format!("{ECHO}transfer-encoding: gzip\r\n\r\nabc"),
        "GET /hello HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "GET /hello HTTP/1.1\r\nhost : x\r\n\r\n".to_owned(),
        "GET /hello HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n".to_owned(),
        "GET /a b HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "GET /hello HTTP/3.7\r\nhost: x\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}".to_owned() + "\r\n\r\n",
    ] {
        let answer = exchange(&running, &request).await;
        let refused = answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 400") || answer.is_empty();
        assert!(refused, "{request:?}: {answer}");
        if !answer.is_empty() {
            is_a_problem(&answer);
        }
    }
    let both = exchange(
        &running,
        format!("{ECHO}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HELLO}"),
    )
    .await;
    assert!(both.contains("connection: close") && !both.contains("hello"), "{both}");
}

#[tokio::test]
async fn older_and_unusual_forms_of_a_request_are_answered() {
    let running = start(HttpConfig::default()).await;
    for (request, status) in [
        ("GET /hello HTTP/1.0\r\n\r\n", "200"),
        (
            "GET http://x/hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            "200",
        ),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("CONNECT x:443 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("BREW /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "405"),
        (
            "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
            "200",
        ),
    ] {
        let mut socket = connect(&running, request).await;
        // Nothing more is sent: an upgraded connection would not end by itself.
        socket.shutdown().await.unwrap();
        let answer = rest(&mut socket).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request}: {answer}");
    }
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_their_order() {
    let running = start(HttpConfig::default()).await;
    let mut sent = String::new();
    for number in 0..50 {
        sent.push_str(&format!("{ECHO}content-length: 2\r\n\r\n{number:02}"));
    }
    sent.push_str(LAST_HELLO);
    let answers = exchange(&running, sent).await;
    let bodies: Vec<&str> = answers
        .split("HTTP/1.1 200")
        .skip(1)
        .map(|answer| answer.rsplit("\r\n\r\n").next().unwrap())
        .collect();
    let expected: Vec<String> = (0..50)
        .map(|number| format!("{number:02}"))
        .chain(["hello".to_owned()])
        .collect();
    assert_eq!(bodies, expected);
}
