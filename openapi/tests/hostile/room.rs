//! Who makes room for whom when there is no more.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use vpnmanager_openapi::server::HttpConfig;

use crate::running::{
    HELLO, LAST_HELLO, SHORT, SOON, answer, at_most, connect, exchange, rest, start, start_behind, wait_until_served,
};

#[tokio::test]
async fn silent_connections_make_room_for_whoever_asks() {
    let config = HttpConfig {
        max_connections: at_most(20),
        max_connections_per_address: at_most(15),
        // Nothing but the lack of room closes them.
        head_timeout: Duration::from_secs(3600),
        ..HttpConfig::default()
    };
    let running = start(config).await;
    let mut strangers = Vec::new();
    for number in 0..100 {
        let sent = ["", "GET /", "GET /hello HTTP/1.1\r\nhost:"][number % 3];
        strangers.push(connect(&running, sent).await);
        if number % 10 == 0 {
            let answer = exchange(&running, LAST_HELLO).await;
            assert!(answer.ends_with("hello"), "after {number}: {answer}");
        }
    }
    // The oldest made room.
    for stranger in &mut strangers[..80] {
        rest(stranger).await;
    }
}

#[tokio::test]
async fn where_every_connection_is_worked_on_another_one_is_told_so() {
    let config = HttpConfig {
        max_connections_per_address: at_most(3),
        ..HttpConfig::default()
    };
    let running = start(config).await;
    let mut busy = Vec::new();
    for _ in 0..3 {
        busy.push(connect(&running, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await);
    }
    let arrived = running.arrived.acquire_many(3);
    tokio::time::timeout(SOON, arrived)
        .await
        .expect("three arrive")
        .unwrap()
        .forget();

    let answer = exchange(&running, HELLO).await;

    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("retry-after: 1") && answer.contains("\"status\":503"),
        "{answer}"
    );
    running.go.add_permits(3);
    for socket in &mut busy {
        assert!(self::answer(socket, "done").await.starts_with("HTTP/1.1 200"));
    }
    assert!(exchange(&running, LAST_HELLO).await.ends_with("hello"));
}

#[tokio::test]
async fn a_trusted_proxy_has_more_connections_than_one_address() {
    let config = HttpConfig {
        max_connections_per_address: at_most(3),
        max_connections: at_most(8),
        ..HttpConfig::default()
    };
    let proxies = serde_json::from_str(r#"["127.0.0.1"]"#).unwrap();
    let running = start_behind(proxies, config).await;
    let mut busy = Vec::new();
    for number in 0..8 {
        let request = format!("GET /slow HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.{number}\r\n\r\n");
        busy.push(connect(&running, request).await);
    }
    let arrived = running.arrived.acquire_many(8);
    tokio::time::timeout(SOON, arrived)
        .await
        .expect("eight arrive")
        .unwrap()
        .forget();

    // The bound for the whole server holds.
    let answer = exchange(&running, HELLO).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    running.go.add_permits(8);
    for socket in &mut busy {
        assert!(self::answer(socket, "done").await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_read_makes_room() {
    let config = HttpConfig {
        max_connections_per_address: at_most(4),
        ..HttpConfig::default()
    };
    let running = start(config).await;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        // 1.5 MB each time, more than the system buffers.
        let mut socket = connect(&running, "GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20)).await;
        socket.read_u8().await.unwrap();
        deaf.push(socket);
    }
    for _ in 0..8 {
        let answer = exchange(&running, LAST_HELLO).await;
        assert!(answer.ends_with("hello"), "{answer}");
    }
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let config = HttpConfig {
        max_connections: at_most(8),
        max_connections_per_address: at_most(8),
        ..HttpConfig::default()
    };
    let running = start(config).await;
    for number in 0..500 {
        let sent = ["", "GET", "nonsense\r\n\r\n", HELLO][number % 4];
        drop(connect(&running, sent).await);
    }
    for _ in 0..20 {
        // Whoever leaves while the server works frees its place, soon after.
        let request = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
        let arrives = async {
            loop {
                let socket = connect(&running, request).await;
                let arrived = running.arrived.acquire();
                if let Ok(arrived) = tokio::time::timeout(SHORT, arrived).await {
                    arrived.unwrap().forget();
                    return drop(socket);
                }
            }
        };
        tokio::time::timeout(SOON, arrives).await.expect("there is room");
    }
    let last = wait_until_served(&running);
    tokio::time::timeout(SOON, last).await.expect("there is room");
}
