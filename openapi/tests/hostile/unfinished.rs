//! Requests that never end, or come slowly; and bodies before keys.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use vpnmanager_openapi::server::HttpConfig;

use crate::running::{ECHO, HELLO, SHORT, SOON, answer, connect, exchange, impatient, start};

#[tokio::test]
async fn half_a_head_ends_with_its_connection() {
    let running = impatient().await;
    for half in ["", "G", "GET /hello HTTP/1.1\r\nhost: x\r\n", "\r\n\r\n\r\n"] {
        let answer = exchange(&running, half).await;
        assert!(!answer.contains("200"), "{half:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_of_one_byte_at_a_time_ends_with_its_connection() {
    let running = impatient().await;
    let mut socket = connect(&running, "GET /hello HTTP/1.1\r\n").await;
    let dripping = async {
        while socket.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 20).await;
        }
    };
    tokio::time::timeout(SOON, dripping).await.expect("cut off");
}

#[tokio::test]
async fn half_a_body_is_answered_with_408() {
    let running = impatient().await;
    for half in [
        format!("{ECHO}content-length: 10\r\n\r\n"),
        format!("{ECHO}content-length: 10\r\n\r\nhello"),
        format!("{ECHO}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        format!("{ECHO}transfer-encoding: chunked\r\n\r\n5"),
    ] {
        let answer = exchange(&running, &half).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{half}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}

#[tokio::test]
async fn a_chunked_body_that_never_ends_is_answered() {
    let running = impatient().await;
    let mut socket = connect(&running, format!("{ECHO}transfer-encoding: chunked\r\n\r\n")).await;
    let dripping = async {
        while socket.write_all(b"1\r\nx\r\n").await.is_ok() {
            tokio::time::sleep(SHORT / 20).await;
        }
    };
    tokio::time::timeout(SOON, dripping).await.expect("cut off");
    let answer = exchange(
        &running,
        format!("{ECHO}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn a_kept_alive_connection_without_a_request_is_closed() {
    let running = impatient().await;
    let answer = exchange(&running, HELLO).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_request_that_the_server_works_on_outlives_every_deadline() {
    let running = impatient().await;
    let mut socket = connect(&running, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // A stranger that came later was cut off meanwhile, so the deadlines of the first have passed too; twice, to be sure.
    for _ in 0..2 {
        exchange(&running, "G").await;
        tokio::time::sleep(SHORT).await;
    }
    running.go.add_permits(1);
    assert!(answer(&mut socket, "done").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_caller_that_is_slow_but_gets_there_is_served() {
    let running = start(HttpConfig::default()).await;
    let mut socket = connect(&running, "").await;
    for piece in [
        &ECHO[..20],
        &ECHO[20..],
        "content-length: 5\r\n",
        "\r\n",
        "he",
        "l",
        "lo",
    ] {
        socket.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(answer(&mut socket, "hello").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn without_a_key_no_body_is_read() {
    let running = start(HttpConfig::default()).await;
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n";
    for (key, framing) in [
        ("", "content-length: 1000000\r\n"),
        ("x-api-key: wrong\r\n", "content-length: 1000\r\n"),
        ("", "transfer-encoding: chunked\r\n"),
        ("", "content-length: 1000\r\nexpect: 100-continue\r\n"),
    ] {
        // Not one byte of the body is sent.
        let answer = exchange(&running, format!("{head}{key}{framing}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{framing}: {answer}");
    }
}

#[tokio::test]
async fn with_a_key_an_expected_body_is_asked_for() {
    let running = start(HttpConfig::default()).await;
    let mut socket = connect(
        &running,
        format!("{ECHO}content-length: 5\r\nexpect: 100-continue\r\n\r\n"),
    )
    .await;
    assert!(answer(&mut socket, "\r\n\r\n").await.starts_with("HTTP/1.1 100"));
    socket.write_all(b"hello").await.unwrap();
    assert!(answer(&mut socket, "hello").await.starts_with("HTTP/1.1 200"));
}
