//! Strangers on plain sockets: what they send is incomplete, endless, too large, or not HTTP.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::EndpointExt as _;
use poem_openapi::payload::PlainText;
use poem_openapi::{OpenApi, OpenApiService};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use vpnmanager_openapi::auth::{Authenticator, Caller, Identified, same_key};
use vpnmanager_openapi::middleware::Conventions;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::server::{Bound, HttpConfig, Source};

/// Long enough for a loaded machine; no test waits for it to pass.
const SOON: Duration = Duration::from_secs(20);

/// Shorter than anything that a test waits for.
const SHORT: Duration = Duration::from_millis(300);

#[derive(Clone)]
struct Operator;

struct OneKey;

impl Authenticator<Operator> for OneKey {
    fn identify<'a>(&'a self, key: &'a str, _from: Option<Source>) -> Identified<'a, Operator> {
        let known = same_key(key, "k");
        Box::pin(async move {
            known
                .then_some(Operator)
                .ok_or_else(|| ApiError::unauthorized("unknown"))
        })
    }
}

/// Answers `/slow` when it is told to.
struct Api {
    arrived: Arc<Semaphore>,
    go: Arc<Semaphore>,
}

#[OpenApi]
impl Api {
    /// Greet
    #[oai(path = "/hello", method = "get", operation_id = "hello")]
    async fn hello(&self) -> Result<PlainText<&'static str>, ApiError> {
        Ok(PlainText("hello"))
    }

    /// Echo
    #[oai(path = "/echo", method = "post", operation_id = "echo")]
    async fn echo(&self, _caller: Caller<Operator>, text: PlainText<String>) -> Result<PlainText<String>, ApiError> {
        Ok(text)
    }

    /// Take your time
    #[oai(path = "/slow", method = "get", operation_id = "slow")]
    async fn slow(&self) -> Result<PlainText<&'static str>, ApiError> {
        self.arrived.add_permits(1);
        self.go.acquire().await.unwrap().forget();
        Ok(PlainText("done"))
    }
}

/// A server until it is dropped.
struct Running {
    address: SocketAddr,
    arrived: Arc<Semaphore>,
    go: Arc<Semaphore>,
    _stop: oneshot::Sender<()>,
}

async fn start(config: HttpConfig) -> Running {
    let (arrived, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let api = Api {
        arrived: arrived.clone(),
        go: go.clone(),
    };
    let service = OpenApiService::new(api, "Test", "1.0.0");
    let adapt = |conventions: Conventions| conventions.keys_of::<Operator>().body_timeout(config.body_timeout);
    let app =
        vpnmanager_openapi::application(service, adapt).data(Arc::new(OneKey) as Arc<dyn Authenticator<Operator>>);
    let bound = Bound::new(&["127.0.0.1:0".to_owned()]).await.unwrap().with(config);
    let address = bound.addresses()[0];
    let (stop, stopped) = oneshot::channel::<()>();
    #[expect(clippy::disallowed_methods, reason = "a test's own server, which ends with the test")]
    tokio::spawn(bound.serve(app, async { drop(stopped.await) }, Duration::ZERO));
    Running {
        address,
        arrived,
        go,
        _stop: stop,
    }
}

/// A server that is impatient.
async fn impatient() -> Running {
    let config = HttpConfig {
        head_timeout: SHORT,
        body_timeout: SHORT,
        idle_timeout: SHORT,
        ..HttpConfig::default()
    };
    start(config).await
}

async fn connect(running: &Running, sent: impl AsRef<[u8]>) -> TcpStream {
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    let _closed = socket.write_all(sent.as_ref()).await;
    socket
}

/// Everything until the server closes the connection.
async fn rest(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await;
    let _reset = read.expect("the server closes the connection");
    String::from_utf8(answer).unwrap()
}

/// What is sent on a connection of its own, and all that comes back.
async fn exchange(running: &Running, sent: impl AsRef<[u8]>) -> String {
    rest(&mut connect(running, sent).await).await
}

async fn wait_until_served(running: &Running) {
    let request = "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    while !exchange(running, request).await.ends_with("hello") {
        tokio::time::sleep(SHORT / 20).await;
    }
}

/// One answer with a text body, on a connection that stays open.
async fn answer(socket: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    let read = async {
        while !answer.ends_with(end) {
            let mut buffer = [0; 4096];
            let length = socket.read(&mut buffer).await.unwrap();
            assert!(length > 0, "closed after {answer}");
            answer.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    };
    tokio::time::timeout(SOON, read).await.expect("answered");
    answer
}

const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
const ECHO: &str = "POST /echo HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-type: text/plain\r\n";

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
        let answer = exchange(&running, &head).await;
        assert!(
            answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"),
            "{answer}"
        );
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
    sent.push_str("GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
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

#[tokio::test]
async fn silent_connections_make_room_for_whoever_asks() {
    let config = HttpConfig {
        max_connections: 20,
        max_connections_per_address: 15,
        ..HttpConfig::default()
    };
    let running = start(config).await;
    let mut strangers = Vec::new();
    for number in 0..100 {
        let sent = ["", "GET /", "GET /hello HTTP/1.1\r\nhost:"][number % 3];
        strangers.push(connect(&running, sent).await);
        if number % 10 == 0 {
            let answer = exchange(&running, "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
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
        max_connections_per_address: 3,
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
    assert!(
        exchange(&running, "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .ends_with("hello")
    );
}

#[tokio::test]
async fn an_answer_that_is_not_read_makes_room() {
    let config = HttpConfig {
        max_connections_per_address: 4,
        ..HttpConfig::default()
    };
    let running = start(config).await;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        // 1.5 MB each time, more than the system buffers.
        deaf.push(connect(&running, "GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20)).await);
    }
    for _ in 0..8 {
        let answer = exchange(&running, "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with("hello"), "{answer}");
    }
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let config = HttpConfig {
        max_connections: 8,
        max_connections_per_address: 8,
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
