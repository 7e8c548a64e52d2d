//! The unix socket beside the addresses.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use vpnmanager_openapi::server::{HttpConfig, LocalSocket};

use crate::running::{SOON, exchange, start_as};

const ECHO: &str =
    "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n";

#[tokio::test]
async fn root_and_the_own_account_need_no_key_at_the_socket_and_a_wrong_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let socket = LocalSocket::bind(&path).unwrap();
    let running = start_as(HttpConfig::default(), |bound| bound.also_at(socket)).await;
    for (key, status) in [
        ("", "200"),
        ("x-api-key: k\r\n", "200"),
        ("x-api-key: wrong\r\n", "401"),
    ] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(format!("{ECHO}{key}\r\nhi").as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await;
        read.expect("answered").unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{key}: {answer}");
    }
    let answer = exchange(&running, format!("{ECHO}\r\nhi")).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}
