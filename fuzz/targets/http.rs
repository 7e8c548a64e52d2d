//! Requests to the HTTP APIs: a first line, headers, an empty line and a body, through everything that holds for each request; and each
//! parameter by itself.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use poem::{
    EndpointExt as _, Request, Response,
    http::{HeaderName, HeaderValue, Method, Uri},
};
use poem_openapi::{
    OpenApi, OpenApiService,
    param::{Path, Query},
    payload::Json,
    types::{ParseFromJSON, ParseFromParameter, ToJSON},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use vpnmanager_openapi::{
    application,
    auth::{Authenticator, Caller, Identified, presented_key, same_key},
    contract::{
        enrolment::{Enrolment, Registration},
        scalars::{
            BusKeyText, CsrText, HostText, PoolText, ProtocolText, ServerIdText, SignatureText, TokenText, VersionText,
        },
        standing::{StandingAnswer, StandingQuestion},
    },
    idempotency::IdempotencyKey,
    page::{IdCursor, MAX_LIMIT, NameCursor, PageAnswer, PageLimit, Position},
    problem::ApiError,
    server::{Network, Source, TrustedProxies, is_host},
    time::Timestamp,
    wait::{LONGEST, Wait},
};

/// The most bytes of an answer that refuses.
const LONGEST_PROBLEM: usize = 256 * 1024;

#[derive(Clone)]
struct Operator;

struct OneKey;

impl Authenticator<Operator> for OneKey {
    fn identify<'a>(&'a self, key: &'a str, _from: Option<Source>) -> Identified<'a, Operator> {
        let known = same_key(key, "k");
        Box::pin(async move {
            if known {
                Ok(Operator)
            } else {
                Err(ApiError::unauthorized("unknown key"))
            }
        })
    }
}

struct Api;

#[OpenApi]
impl Api {
    /// Enrol
    #[oai(path = "/register", method = "post", operation_id = "register")]
    async fn register(&self, body: Json<Registration>) -> Json<Registration> {
        body
    }

    /// Ask for the standing
    #[oai(path = "/nodes/:server_id/standing", method = "post", operation_id = "standing")]
    async fn standing(&self, server_id: Path<ServerIdText>, body: Json<StandingQuestion>) -> Json<StandingQuestion> {
        assert!(!server_id.0.0.as_str().is_empty());
        body
    }

    /// List
    #[oai(path = "/nodes", method = "get", operation_id = "list")]
    async fn list(
        &self,
        _caller: Caller<Operator>,
        uri: vpnmanager_openapi::middleware::RequestUri,
        limit: Query<Option<PageLimit>>,
        cursor: Query<Option<IdCursor>>,
        wait: Query<Option<Wait>>,
        since: Query<Option<Timestamp>>,
    ) -> Result<PageAnswer<StandingQuestion>, ApiError> {
        let after = cursor.0.map(|cursor| cursor.position());
        assert!(wait.0.is_none_or(|wait| wait.duration() <= LONGEST));
        let rows = vec![
            after.unwrap_or_default(),
            since.0.map_or(0, |since| since.to_utc().timestamp()),
        ];
        let example = <StandingQuestion as poem_openapi::types::Example>::example;
        Ok(PageAnswer::new(
            rows,
            limit.0.unwrap_or_default(),
            &uri.0,
            |row| *row,
            |_| example(),
        ))
    }
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
static APP: LazyLock<Box<dyn poem::endpoint::DynEndpoint<Output = Response> + Send + Sync>> = LazyLock::new(|| {
    let service = OpenApiService::new(Api, "Fuzz", "1");
    let keys = Arc::new(OneKey) as Arc<dyn Authenticator<Operator>>;
    Box::new(poem::endpoint::ToDynEndpoint(
        application(service, |conventions| conventions.keys_of::<Operator>()).data(keys),
    ))
});

fuzz_target!(|input: &[u8]| {
    is_host_of_one(input);
    network(input);
    contract::<Registration>(input);
    contract::<Enrolment>(input);
    contract::<StandingQuestion>(input);
    contract::<StandingAnswer>(input);
    if let Ok(text) = std::str::from_utf8(input) {
        parameters(text);
    }
    if let Some(request) = request(input) {
        forwarded(&request);
        RUNTIME.block_on(answer(request));
    }
});

/// A request, if what hyper lets through can be made of the input.
fn request(input: &[u8]) -> Option<Request> {
    let end = input.windows(2).position(|two| two == b"\n\n").unwrap_or(input.len());
    let (head, body) = (&input[..end], input.get(end + 2..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(first.next()?).ok()?;
    let uri = Uri::try_from(first.next()?)
        .ok()
        .filter(|uri| uri.path().starts_with('/'))?;
    let mut request = Request::builder().method(method).uri(uri).body(body.to_vec());
    for line in lines.take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next()?).ok()?;
        let value = HeaderValue::from_bytes(parts.next()?.trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    if let Some(key) = presented_key(request.headers()) {
        assert!(!key.is_empty() && key.trim() == key);
    }
    Some(request)
}

/// Every answer keeps the conventions, and what refuses says so in the one form.
async fn answer(request: Request) {
    let response = APP.call(request).await.unwrap_or_else(poem::Error::into_response);
    let (status, headers) = (response.status(), response.headers().clone());
    assert!(!status.is_server_error(), "{status}");
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let id = text("x-request-id");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    assert!((1..=64).contains(&id.len()) && id.bytes().all(plain), "{id}");
    assert_eq!(text("cache-control"), "no-store");
    if status.is_client_error() {
        assert_eq!(text("content-type"), "application/problem+json");
        let body = response.into_body().into_bytes().await.expect("a body");
        assert!(body.len() <= LONGEST_PROBLEM, "{} bytes", body.len());
        if !body.is_empty() {
            let problem: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(problem["status"], status.as_u16());
        }
    }
}

/// A host is at most one host.
fn is_host_of_one(input: &[u8]) {
    if is_host(input) {
        assert!(
            input
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !b"@,/?#".contains(byte)),
            "{input:?}"
        );
    }
}

/// A network of proxies prints as it is read.
fn network(input: &[u8]) {
    let network = std::str::from_utf8(input).map(str::parse::<Network>);
    if let Ok(Ok(network)) = network {
        assert_eq!(network.to_string().parse(), Ok(network));
    }
}

/// Whom a proxy speaks for stands in its header, and is none of its own.
fn forwarded(request: &Request) {
    let proxies: TrustedProxies = serde_json::from_str(r#"["10.0.0.0/8", "::1"]"#).expect("networks");
    let peer = "10.0.0.1:80".parse().expect("an address");
    let count = request.headers().get_all("x-forwarded-for").iter().count();
    if let Ok(client) = proxies.client(peer, request.headers()) {
        assert!(client == peer || count > 0, "{client}");
    }
    let stranger = "192.0.2.7:80".parse().expect("an address");
    assert_eq!(proxies.client(stranger, request.headers()).ok(), Some(stranger));
}

/// What one side reads of a body is what it writes, and both libraries write the same.
fn contract<T: DeserializeOwned + Serialize + ParseFromJSON + ToJSON>(input: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(input) else {
        return;
    };
    let written = serde_json::to_value(&read).expect("JSON");
    let again: T = serde_json::from_value(written.clone()).expect("what was written is read");
    assert_eq!(serde_json::to_value(&again).expect("JSON"), written);
    // poem-openapi knows the bounds of numbers too.
    if let Ok(parsed) = T::parse_from_json(Some(written.clone())) {
        assert_eq!(parsed.to_json(), Some(written));
    }
}

fn parameters(text: &str) {
    if let Some(limit) = parameter::<PageLimit>(text) {
        assert!((1..=MAX_LIMIT).contains(&limit.get()));
    }
    if let Some(wait) = parameter::<Wait>(text) {
        assert!(wait.duration() <= LONGEST);
        prints_as_it_is(&wait);
    }
    if let Some(time) = parameter::<Timestamp>(text) {
        prints_as_it_is(&time);
        assert!(time.to_string().ends_with('Z'));
    }
    // A position that is read from a cursor is written as the same cursor.
    if let Some(cursor) = parameter::<IdCursor>(text) {
        assert!(cursor.position() >= 0 && cursor.position().to_cursor() == cursor.as_str());
    }
    if let Some(cursor) = parameter::<NameCursor>(text) {
        assert!(cursor.position().is_ascii() && cursor.position().to_cursor() == cursor.as_str());
    }
    if let Some(signature) = parameter::<SignatureText>(text) {
        let bytes = signature.decode();
        assert!(bytes.is_empty() || SignatureText::encode(&bytes) == signature);
    }
    if let Some(key) = parameter::<IdempotencyKey>(text) {
        assert!((1..=255).contains(&key.value().len()));
    }
    parameter::<ServerIdText>(text);
    parameter::<HostText>(text);
    parameter::<BusKeyText>(text);
    parameter::<PoolText>(text);
    parameter::<ProtocolText>(text);
    parameter::<TokenText>(text);
    parameter::<CsrText>(text);
    parameter::<VersionText>(text);
}

/// The same text is read in the same way from a query and from a body. A refusal is short.
fn parameter<T: ParseFromParameter + ParseFromJSON + ToJSON>(text: &str) -> Option<T> {
    let in_body = T::parse_from_json(Some(Value::from(text)));
    match T::parse_from_parameter(text) {
        Ok(read) => {
            assert_eq!(in_body.ok().and_then(|value| value.to_json()), read.to_json());
            Some(read)
        }
        Err(error) => {
            assert!(in_body.is_err() && error.message().chars().count() < 300);
            None
        }
    }
}

fn prints_as_it_is<T: ToJSON + ParseFromJSON + PartialEq>(value: &T) {
    let printed = value.to_json();
    assert!(T::parse_from_json(printed).is_ok_and(|again| again == *value));
}
