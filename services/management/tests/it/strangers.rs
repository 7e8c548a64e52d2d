//! Strangers without a key against the running binary: they hold connections and send what nobody asked for, and the operator's work
//! goes on.

use futures_util::future::join_all;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vpnmanager_runtime::descriptors;
use vpnmanager_testbed::wait;

use crate::process::{Running, start_with_files};
use crate::stack::{ADMIN_KEY, registration};

/// An operator whose every request is on a connection of its own.
struct Admin {
    client: Client,
    base: String,
}

impl Admin {
    fn of(running: &Running) -> Self {
        let client = Client::builder().pool_max_idle_per_host(0).timeout(wait::SOON).build();
        Self {
            client: client.expect("a client"),
            base: format!("http://{}", running.address),
        }
    }

    async fn post(&self, path: &str, body: Option<&Value>) -> StatusCode {
        let mut request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("x-api-key", ADMIN_KEY);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.expect("answered").status()
    }

    async fn get(&self, path: &str) -> Value {
        let request = self
            .client
            .get(format!("{}{path}", self.base))
            .header("x-api-key", ADMIN_KEY);
        request.send().await.expect("answered").json().await.expect("JSON")
    }
}

/// Resident memory of the process in kB: (now, most).
fn memory(running: &Running) -> (u64, u64) {
    let pid = running.child.id().expect("running");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("a field");
        line.split_whitespace()
            .next()
            .expect("a number")
            .parse()
            .expect("a number")
    };
    (field("VmRSS:"), field("VmHWM:"))
}

async fn connect(running: &Running, sent: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(running.address).await.expect("connected");
    // The server may have closed it already.
    let _closed = socket.write_all(sent).await;
    socket
}

#[tokio::test]
async fn a_deregistration_is_enforced_while_strangers_hold_every_connection() {
    descriptors::raise_limit().expect("enough files for 1,100 strangers");
    // One address may have them all: the bound for the whole server is what is reached.
    let settings = [("HTTP_MAX_CONNECTIONS_PER_ADDRESS", "2048")];
    let running = start_with_files(1024, &settings).await;
    let admin = Admin::of(&running);
    let enrolled = admin
        .post("/api/endnodes/register", Some(&registration("node-1").body()))
        .await;
    assert_eq!(enrolled, StatusCode::CREATED);

    let mut strangers = Vec::new();
    for number in 0..1100 {
        let sent: &[u8] = [&b""[..], b"POST /api/users HTTP/1.1\r\nhost: x\r\n", b"G"][number % 3];
        strangers.push(connect(&running, sent).await);
    }
    let status = admin.post("/api/endnodes/node-1/deregister", None).await;

    assert_eq!(status, StatusCode::NO_CONTENT);
    let audit = admin.get("/api/audit?action=node_deregistered").await;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1), "{audit}");
    let health = admin
        .client
        .get(format!("{}/health", admin.base))
        .send()
        .await
        .expect("answered");
    assert_eq!(health.status(), StatusCode::OK, "database and bus are connected");
}

#[tokio::test]
async fn where_the_system_has_no_more_files_whoever_asks_is_still_answered() {
    // Fewer than the connections that are allowed and what the process needs for itself.
    let running = start_with_files(48, &[]).await;
    let admin = Admin::of(&running);
    let mut strangers = Vec::new();
    for _ in 0..100 {
        strangers.push(connect(&running, b"").await);
    }
    for _ in 0..5 {
        let health = admin.client.get(format!("{}/health", admin.base)).send().await;
        assert_eq!(health.expect("answered").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn bodies_without_a_key_take_no_memory_and_what_was_taken_is_given_back() {
    descriptors::raise_limit().expect("enough files");
    let running = start_with_files(4096, &[]).await;
    let admin = Admin::of(&running);
    admin.get("/api/users").await;
    let (before, _) = memory(&running);
    let body = vec![b' '; 1_000_000];
    let attack = join_all((0..500).map(|number| {
        let (running, body) = (&running, &body);
        async move {
            let key = ["", "x-api-key: wrong\r\n"][number % 2];
            let path = ["/api/users", "/api/endnodes/register"][number % 3 % 2];
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\n{key}content-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
            );
            let mut socket = connect(running, head.as_bytes()).await;
            let _refused = socket.write_all(body).await;
            let mut answer = Vec::new();
            let _reset = socket.read_to_end(&mut answer).await;
        }
    }));
    tokio::time::timeout(wait::SOON, attack).await.expect("refused in time");

    let (_, most) = memory(&running);
    assert!(most < before + 60_000, "from {before} kB to {most} kB");
    let given_back = wait::until(wait::SOON, "memory to be given back", async || {
        memory(&running).0 < before + 30_000
    });
    given_back.await.expect("in time");
}
