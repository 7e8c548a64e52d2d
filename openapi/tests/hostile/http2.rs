//! HTTP/2: requests beside each other, and what is bounded of them.

use bytes::Bytes;
use h2::client::SendRequest;
use poem::http::{Request, StatusCode};
use rustls::version::TLS13;
use vpnmanager_openapi::server::{HttpConfig, MOST_HEADERS};

use crate::running::{SHORT, SOON, at_most, impatience};
use crate::secured::{Secured, start};

/// A connection of HTTP/2, and what ends with it.
async fn connect(secured: &Secured) -> (SendRequest<Bytes>, tokio::task::JoinHandle<()>) {
    let stream = secured.connect(secured.client(&[b"h2"], &[&TLS13])).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own connection, which ends with the test"
    )]
    let driven = tokio::spawn(async move { drop(connection.await) });
    (requests, driven)
}

fn get(path: &str) -> Request<()> {
    Request::builder()
        .uri(format!("https://localhost{path}"))
        .body(())
        .unwrap()
}

fn echo() -> Request<()> {
    let request = Request::post("https://localhost/echo").header("x-api-key", "k");
    request.header("content-type", "text/plain").body(()).unwrap()
}

/// The answer to a request without a body.
async fn ask(requests: &SendRequest<Bytes>, request: Request<()>) -> (StatusCode, String) {
    let mut requests = requests.clone().ready().await.unwrap();
    let (answer, _body) = requests.send_request(request, true).unwrap();
    read(answer).await
}

async fn read(answer: h2::client::ResponseFuture) -> (StatusCode, String) {
    let read = async {
        let answer = answer.await.unwrap();
        let status = answer.status();
        let mut body = answer.into_body();
        let mut text = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            text.extend_from_slice(&piece);
        }
        (status, String::from_utf8(text).unwrap())
    };
    tokio::time::timeout(SOON, read).await.expect("answered")
}

#[tokio::test]
async fn requests_are_answered_beside_each_other() {
    let secured = start(HttpConfig::default()).await;
    let (requests, _driven) = connect(&secured).await;
    let mut slow = requests.clone().ready().await.unwrap();
    let (slow, _) = slow.send_request(get("/slow"), true).unwrap();
    secured.running.arrived.acquire().await.unwrap().forget();

    assert_eq!(
        ask(&requests, get("/hello")).await,
        (StatusCode::OK, "hello".to_owned())
    );
    let mut sending = requests.clone().ready().await.unwrap();
    let (answer, mut body) = sending.send_request(echo(), false).unwrap();
    body.send_data(Bytes::from_static(b"echoed"), true).unwrap();
    assert_eq!(read(answer).await, (StatusCode::OK, "echoed".to_owned()));
    // Larger than every window.
    let (status, docs) = ask(&requests, get("/docs")).await;
    assert!(
        status == StatusCode::OK && docs.len() > 1_000_000,
        "{status}: {}",
        docs.len()
    );

    secured.running.go.add_permits(1);
    assert_eq!(read(slow).await, (StatusCode::OK, "done".to_owned()));
}

#[tokio::test]
async fn a_head_with_too_many_lines_or_two_hosts_is_refused_and_the_connection_stays() {
    let secured = start(HttpConfig::default()).await;
    let (requests, _driven) = connect(&secured).await;
    let mut many = get("/hello");
    for _ in 0..=MOST_HEADERS {
        many.headers_mut().append("x-many", "1".parse().unwrap());
    }
    let (status, text) = ask(&requests, many).await;
    assert!(
        status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE && text.contains("header lines"),
        "{status} {text}"
    );
    let mut two = get("/hello");
    two.headers_mut().insert("host", "other.example".parse().unwrap());
    assert_eq!(ask(&requests, two).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ask(&requests, get("/hello")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn half_a_body_is_answered_with_408_and_others_go_on() {
    let secured = start(impatience()).await;
    let (requests, _driven) = connect(&secured).await;
    let mut slow = requests.clone().ready().await.unwrap();
    let (slow, _) = slow.send_request(get("/slow"), true).unwrap();
    secured.running.arrived.acquire().await.unwrap().forget();
    let mut sending = requests.clone().ready().await.unwrap();
    let (answer, mut body) = sending.send_request(echo(), false).unwrap();
    body.send_data(Bytes::from_static(b"ech"), false).unwrap();
    let refused = tokio::time::timeout(SOON, answer).await.expect("answered").unwrap();
    assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
    // Longer than every deadline: the server works on it.
    tokio::time::sleep(4 * SHORT).await;
    secured.running.go.add_permits(1);
    assert_eq!(read(slow).await, (StatusCode::OK, "done".to_owned()));
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let secured = start(impatience()).await;
    let (unused, driven) = connect(&secured).await;
    tokio::time::timeout(SOON, driven).await.expect("closed").unwrap();
    drop(unused);
    let (requests, driven) = connect(&secured).await;
    ask(&requests, get("/hello")).await;
    tokio::time::timeout(SOON, driven).await.expect("closed").unwrap();
}

#[tokio::test]
async fn one_connection_asks_no_more_at_once_than_an_address_may_have_connections() {
    let config = HttpConfig {
        max_connections_per_address: at_most(2),
        ..HttpConfig::default()
    };
    let secured = start(config).await;
    let (requests, _driven) = connect(&secured).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut slow = requests.clone().ready().await.unwrap();
        waiting.push(slow.send_request(get("/slow"), true).unwrap().0);
        secured.running.arrived.acquire().await.unwrap().forget();
    }
    assert_eq!(ask(&requests, get("/hello")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    secured.running.go.add_permits(2);
    for answer in waiting {
        assert_eq!(read(answer).await.0, StatusCode::OK);
    }
    assert_eq!(ask(&requests, get("/hello")).await.0, StatusCode::OK);
}
