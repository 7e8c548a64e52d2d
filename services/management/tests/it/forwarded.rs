//! Callers behind a reverse proxy: whom the trail names, whom a limit concerns, and where a node is.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use poem::http::StatusCode;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::stack::{ADMIN_KEY, Stack, WithKey as _, json_of, registration};

/// Where the proxy is.
const PROXY: [u8; 4] = [127, 0, 0, 1];
/// Somebody who writes the header that proxies write.
const STRANGER: [u8; 4] = [127, 0, 0, 2];

/// A management behind a proxy.
struct Behind {
    stack: Stack,
    server: SocketAddr,
}

impl Behind {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let stack = Stack::start_with(&[&[("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")], settings].concat()).await;
        let server = stack.serve().await;
        Self { stack, server }
    }

    /// A registration from this address with these lines of `X-Forwarded-For`.
    async fn register(&self, from: [u8; 4], lines: &[&str], key: Option<&str>, body: &Value) -> Response {
        let client = Client::builder()
            .local_address(IpAddr::from(from))
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        let mut request = client
            .post(format!("http://{}/api/endnodes/register", self.server))
            .json(body);
        for line in lines {
            request = request.header("x-forwarded-for", *line);
        }
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        request.send().await.expect("answered")
    }

    /// The same of a node without a host, with the admin key.
    async fn enrol(&self, id: &str, from: [u8; 4], lines: &[&str]) -> Response {
        let body = registration(id).with("host", Value::Null).body();
        self.register(from, lines, Some(ADMIN_KEY), &body).await
    }

    async fn get(&self, path: &str) -> Value {
        json_of(self.stack.client().get(path).admin().send().await, StatusCode::OK).await
    }
}

async fn refused_field(response: Response) -> (String, String) {
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.expect("a problem");
    let error = &problem["errors"][0];
    let text = |name: &str| error[name].as_str().expect("a text").to_owned();
    (text("field"), text("detail"))
}

#[tokio::test]
async fn the_client_that_a_proxy_names_is_in_the_trail_and_is_where_its_node_is() {
    let behind = Behind::start(&[]).await;
    for (id, lines, client) in [
        ("node-1", &["203.0.113.7"][..], "203.0.113.7"),
        ("node-2", &["198.51.100.66, 203.0.113.8"], "203.0.113.8"),
        (
            "node-3",
            &["nonsense, 2001:db8::9, 10.0.0.1:80", "10.9.9.9"],
            "2001:db8::9",
        ),
        ("node-4", &["127.0.0.1", "[2001:db8::a]:4711"], "2001:db8::a"),
    ] {
        let answer = behind.enrol(id, PROXY, lines).await;
        assert_eq!(answer.status(), 201, "{id}");
        let node = behind.get(&format!("/api/endnodes/{id}")).await;
        assert_eq!(node["host"], client, "{node}");
        let trail = behind
            .get(&format!("/api/audit?action=node_registered&server_id={id}"))
            .await;
        assert_eq!(trail["items"][0]["ip_address"], client, "{trail}");
    }
}

#[tokio::test]
async fn a_header_that_no_trusted_proxy_sent_is_not_read_and_one_that_cannot_be_read_is_refused() {
    let behind = Behind::start(&[]).await;
    for lines in [&["203.0.113.7"][..], &["nonsense"], &[]] {
        let (field, detail) = refused_field(behind.enrol("node-1", STRANGER, lines).await).await;
        assert_eq!(field, "host");
        assert!(detail.contains("from 127.0.0.2"), "{detail}");
    }
    let (field, detail) = refused_field(behind.enrol("node-1", PROXY, &["203.0.113.7, unknown"]).await).await;
    assert_eq!(field, "X-Forwarded-For");
    assert!(
        detail.contains("127.0.0.1") && detail.contains("\"unknown\""),
        "{detail}"
    );
    // The proxy itself, and a client on the machine of the proxy.
    for (lines, seen) in [(&[][..], "127.0.0.1"), (&["127.0.0.9"], "127.0.0.9")] {
        let (field, detail) = refused_field(behind.enrol("node-1", PROXY, lines).await).await;
        assert_eq!(field, "host");
        assert!(detail.contains(&format!("from {seen}")), "{detail}");
    }
    assert_eq!(behind.get("/api/endnodes").await["items"], json!([]));
}

#[tokio::test]
async fn a_limit_concerns_the_client_and_not_its_proxy() {
    let behind = Behind::start(&[("CALLERS_KEYLESS_REQUESTS", "3")]).await;
    let body = registration("node-1").token(Some("wrong")).body();
    let send = async |lines: &[&str]| behind.register(PROXY, lines, None, &body).await.status().as_u16();
    for _ in 0..3 {
        assert_eq!(send(&["203.0.113.7"]).await, 401);
    }
    assert_eq!(send(&["203.0.113.7"]).await, 429);
    assert_eq!(
        send(&["203.0.113.8, 203.0.113.7"]).await,
        429,
        "another name for the same"
    );
    assert_eq!(send(&["203.0.113.8"]).await, 401);
    let keyed = behind.register(PROXY, &["203.0.113.9"], Some("a-key-that-nobody-has"), &body);
    assert_eq!(keyed.await.status(), 401);

    let refusals = behind.stack.refusals(5).await;
    let addresses: Vec<&str> = refusals.keys().map(String::as_str).collect();
    assert_eq!(addresses, ["203.0.113.7", "203.0.113.8", "203.0.113.9"]);
}
