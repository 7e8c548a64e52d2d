//! A service with one key, and plain sockets to it.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
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
use vpnmanager_openapi::server::{Bound, HttpConfig, Source, TrustedProxies};

/// Long enough for a loaded machine; no test waits for it to pass.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Shorter than anything that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

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

    fn local(&self) -> Option<Operator> {
        Some(Operator)
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
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) arrived: Arc<Semaphore>,
    pub(crate) go: Arc<Semaphore>,
    _stop: oneshot::Sender<()>,
}

pub(crate) async fn start(config: HttpConfig) -> Running {
    start_behind(TrustedProxies::default(), config).await
}

pub(crate) async fn start_behind(proxies: TrustedProxies, config: HttpConfig) -> Running {
    start_as(config, |bound| bound.behind(proxies)).await
}

/// A server whose sockets are as the caller wants them.
pub(crate) async fn start_as(config: HttpConfig, adapt_bound: impl FnOnce(Bound) -> Bound) -> Running {
    let (arrived, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let api = Api {
        arrived: arrived.clone(),
        go: go.clone(),
    };
    let service = OpenApiService::new(api, "Test", "1.0.0");
    let adapt = |conventions: Conventions| conventions.keys_of::<Operator>().body_timeout(config.body_timeout);
    let app =
        vpnmanager_openapi::application(service, adapt).data(Arc::new(OneKey) as Arc<dyn Authenticator<Operator>>);
    let bound = Bound::new(&["127.0.0.1:0".to_owned()]).await.unwrap();
    let bound = adapt_bound(bound.with(config));
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

/// So many connections.
pub(crate) fn at_most(connections: usize) -> NonZeroUsize {
    connections.try_into().unwrap()
}

/// A server that is impatient.
pub(crate) async fn impatient() -> Running {
    start(impatience()).await
}

/// Its times.
pub(crate) fn impatience() -> HttpConfig {
    HttpConfig {
        head_timeout: SHORT,
        body_timeout: SHORT,
        idle_timeout: SHORT,
        ..HttpConfig::default()
    }
}

pub(crate) async fn connect(running: &Running, sent: impl AsRef<[u8]>) -> TcpStream {
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    let _closed = socket.write_all(sent.as_ref()).await;
    socket
}

/// Everything until the server closes the connection.
pub(crate) async fn rest(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await;
    let _reset = read.expect("the server closes the connection");
    String::from_utf8(answer).unwrap()
}

/// What is sent on a connection of its own, and all that comes back.
pub(crate) async fn exchange(running: &Running, sent: impl AsRef<[u8]>) -> String {
    rest(&mut connect(running, sent).await).await
}

pub(crate) async fn wait_until_served(running: &Running) {
    while !exchange(running, LAST_HELLO).await.ends_with("hello") {
        tokio::time::sleep(SHORT / 20).await;
    }
}

/// One answer with a text body, on a connection that stays open.
pub(crate) async fn answer(socket: &mut TcpStream, end: &str) -> String {
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

/// The last request of its connection.
pub(crate) const LAST_HELLO: &str = "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
pub(crate) const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
pub(crate) const ECHO: &str = "POST /echo HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-type: text/plain\r\n";
