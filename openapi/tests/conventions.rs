//! The rules that hold for every request, against a small service.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::sync::Arc;

use poem::http::{Method, StatusCode};
use poem::test::{TestClient, TestResponse};
use poem::{Body, Endpoint, EndpointExt as _, Response};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi, OpenApiService};
use serde_json::{Value, json};
use vpnmanager_openapi::auth::{Authenticator, Caller, Identified, OptionalCaller, same_key};
use vpnmanager_openapi::middleware::{Conventions, RequestId, RequestUri};
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::server::Source;
use vpnmanager_openapi::spec::{self, Spec};
use vpnmanager_openapi::text_scalar;
use vpnmanager_openapi::time::Timestamp;
use vpnmanager_openapi::wait::Wait;

text_scalar! {
    /// A name.
    pub struct Name {
        format: "name",
        pattern: "^[a-z]+$",
        length: 1..=8,
        example: "alice",
        check: |text| match text.bytes().all(|byte| byte.is_ascii_lowercase()) {
            true => Ok(()),
            false => Err("must be lower-case letters".to_owned()),
        },
    }
}

#[derive(Object)]
#[oai(skip_serializing_if_is_none, example)]
struct NewUser {
    /// The name.
    name: Name,
    /// How many.
    count: u32,
    /// Until when.
    expires_at: Option<Timestamp>,
    /// A remark.
    #[oai(validator(max_length = 5))]
    remark: Option<String>,
    /// Inside.
    address: Option<Address>,
}

#[derive(Object)]
struct Address {
    /// The street.
    street: String,
}

impl Example for NewUser {
    fn example() -> Self {
        Self {
            name: "alice".parse().unwrap(),
            count: 1,
            expires_at: None,
            remark: None,
            address: None,
        }
    }
}

#[derive(Clone)]
struct Operator(String);

struct OneKey;

impl Authenticator<Operator> for OneKey {
    fn identify<'a>(&'a self, key: &'a str, _from: Option<Source>) -> Identified<'a, Operator> {
        Box::pin(async move {
            if same_key(key, "k") {
                Ok(Operator("admin".to_owned()))
            } else {
                Err(ApiError::unauthorized("unknown key"))
            }
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("SELECT secret FROM users")]
struct Sql;

struct Api;

#[OpenApi]
impl Api {
    /// Create
    #[oai(path = "/users", method = "post", operation_id = "create_user")]
    async fn create(&self, body: Json<NewUser>) -> Result<Json<NewUser>, ApiError> {
        Ok(body)
    }

    /// List
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    async fn list(
        &self,
        uri: RequestUri,
        /// How many.
        limit: Query<Option<PageLimit>>,
        /// From where.
        cursor: Query<Option<IdCursor>>,
        /// How long.
        wait: Query<Option<Wait>>,
    ) -> Result<PageAnswer<NewUser>, ApiError> {
        let _ = wait.0;
        let after = cursor.0.map_or(0, |cursor| cursor.position());
        let rows: Vec<u32> = (1..=5).filter(|row| i64::from(*row) > after).collect();
        Ok(PageAnswer::new(
            rows,
            limit.0.unwrap_or_default(),
            &uri,
            |row| i64::from(*row),
            |row| NewUser {
                count: row,
                ..NewUser::example()
            },
        ))
    }

    /// Who am I
    #[oai(path = "/users/:name", method = "get", operation_id = "get_user")]
    async fn get(
        &self,
        caller: Caller<Operator>,
        /// The name.
        name: Path<Name>,
    ) -> Result<Json<String>, ApiError> {
        Ok(Json(format!("{} {}", caller.0.0, name.0)))
    }

    /// Stop
    #[oai(path = "/stop", method = "post", operation_id = "stop")]
    async fn stop(&self) -> Result<Json<bool>, ApiError> {
        Ok(Json(true))
    }

    /// With or without a key
    #[oai(path = "/open", method = "get", operation_id = "open")]
    async fn open(&self, caller: OptionalCaller<Operator>) -> Result<Json<bool>, ApiError> {
        Ok(Json(caller.0.is_some()))
    }

    /// Our mistake
    #[oai(path = "/broken/:how", method = "get", operation_id = "broken")]
    async fn broken(
        &self,
        /// How.
        how: Path<String>,
        id: RequestId,
    ) -> Result<Json<String>, ApiError> {
        assert_ne!(how.0, "panic", "SELECT secret");
        if how.0 == "id" {
            return Ok(Json(id.to_string()));
        }
        Err(ApiError::internal(Sql))
    }
}

fn service() -> OpenApiService<Api, ()> {
    OpenApiService::new(Api, "Test", "1.0.0")
}

fn client() -> TestClient<impl Endpoint<Output = Response>> {
    TestClient::new(
        vpnmanager_openapi::application(service(), Conventions::keys_of::<Operator>)
            .data(Arc::new(OneKey) as Arc<dyn Authenticator<Operator>>),
    )
}

/// Asserts that the answer is a problem of this status, and gives it with the names of its fields.
async fn problem(response: TestResponse, status: StatusCode) -> (Value, Vec<String>) {
    response.assert_header("content-type", "application/problem+json");
    response.assert_header_exist("x-request-id");
    let actual = response.0.status();
    let body: Value = response.0.into_body().into_json().await.unwrap();
    assert_eq!(
        (actual, body["status"].as_u64().unwrap()),
        (status, u64::from(status.as_u16())),
        "{body}"
    );
    let fields = body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|error| error["field"].as_str().unwrap().to_owned());
    let fields = fields.collect();
    (body, fields)
}

async fn post(body: impl Into<Body>) -> TestResponse {
    client()
        .post("/users")
        .content_type("application/json")
        .body(body)
        .send()
        .await
}

#[tokio::test]
async fn a_wrong_body_names_each_field_it_can() {
    let cases: [(Value, &[&str]); 12] = [
        (json!({"name": 5, "count": 1}), &["name"]),
        (json!({"name": "a", "count": "one"}), &["count"]),
        (json!({"name": "a", "count": -1}), &["count"]),
        (json!({"name": "a"}), &["count"]),
        (json!({}), &["name", "count"]),
        (json!({"name": null, "count": 1}), &["name"]),
        (json!({"name": "UPPER", "count": 1}), &["name"]),
        (json!({"name": "waytoolongname", "count": 1}), &["name"]),
        (
            json!({"name": "a", "count": 1, "expires_at": "+262142-12-31T00:00:00Z"}),
            &["expires_at"],
        ),
        (json!({"name": "a", "count": 1, "remark": "too long"}), &["remark"]),
        (json!({"name": "a", "count": 1, "address": {}}), &["address.street"]),
        (json!([]), &["body"]),
    ];
    for (body, expected) in cases {
        let (problem, mut fields) = problem(post(body.to_string()).await, StatusCode::BAD_REQUEST).await;
        fields.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(fields, expected, "{body}: {problem}");
    }
}

/// What the caller meant by it would not happen.
#[tokio::test]
async fn what_the_description_does_not_know_is_refused_with_the_nearest_name() {
    let of_body = |body: Value| post(body.to_string());
    for (body, field, word) in [
        (
            json!({"name": "a", "count": 1, "expire_at": "x"}),
            "expire_at",
            "did you mean `expires_at`?",
        ),
        (
            json!({"name": "a", "count": 1, "Remark": "x"}),
            "Remark",
            "did you mean `remark`?",
        ),
        (
            json!({"name": "a", "count": 1, "x": null}),
            "x",
            "what is known: address, count, expires_at, name, remark",
        ),
        (
            json!({"name": "a", "count": 1, "address": {"street": "b", "stret": "c"}}),
            "address.stret",
            "did you mean `street`?",
        ),
        (
            json!({"name": "a", "count": 1, "expires_at": null}),
            "expires_at",
            "not null: leave it out",
        ),
    ] {
        let (problem, fields) = problem(of_body(body.clone()).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{body}: {problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{body}: {detail}");
    }
    for (path, field, word) in [
        ("/users?Limit=1", "Limit", "did you mean `limit`?"),
        ("/users?li%6Dits=1", "limits", "did you mean `limit`?"),
        ("/users?expired=true", "expired", "what is known: limit, cursor, wait"),
        ("/users?limit=1&wait=1s&limit=2", "limit", "more than once"),
        ("/open?x", "x", "nothing is taken here"),
    ] {
        let (problem, fields) = problem(client().get(path).send().await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{path}: {problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{path}: {detail}");
    }
}

#[tokio::test]
async fn a_body_where_none_is_taken_is_refused_unless_it_says_nothing() {
    let client = client();
    let stop = |body: &str| {
        let request = client.post("/stop").content_type("application/json");
        request.body(body.to_owned()).send()
    };
    for body in ["", "{}", " { } "] {
        stop(body).await.assert_status_is_ok();
    }
    for body in ["{\"credentials\": \"revoke\"}", "now", "[]", "null"] {
        let (problem, fields) = problem(stop(body).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["body"], "{problem}");
    }
}

#[tokio::test]
async fn a_small_request_has_no_large_answer() {
    let members: serde_json::Map<String, Value> = (0..1000).map(|number| (format!("x{number}"), json!(1))).collect();
    let (problem, fields) = problem(post(Value::from(members).to_string()).await, StatusCode::BAD_REQUEST).await;
    assert_eq!(fields.len(), 20);
    assert!(problem.to_string().len() < 5000, "{problem}");
}

#[tokio::test]
async fn a_body_that_is_not_json_is_told_as_such() {
    for body in ["", "{\"name\": \"a", "nonsense", "{\"name\": \"a\0\"}"] {
        let (problem, fields) = problem(post(body).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["body"], "{problem}");
    }
    let response = client()
        .post("/users")
        .content_type("text/csv")
        .body("a,b")
        .send()
        .await;
    problem(response, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    problem(
        client().post("/users").body("{}").send().await,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    )
    .await;
}

#[tokio::test]
async fn nul_is_refused_wherever_it_hides() {
    let (_, fields) = problem(
        post(r#"{"name": "a", "count": 1, "address": {"street": "\u0000"}}"#).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    assert_eq!(fields, ["address.street"]);
    let (_, fields) = problem(client().get("/users?cursor=a%00").send().await, StatusCode::BAD_REQUEST).await;
    assert_eq!(fields, ["cursor"]);
    problem(
        client().get("/users/a%00").header("x-api-key", "k").send().await,
        StatusCode::BAD_REQUEST,
    )
    .await;
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    for (path, field) in [
        ("/users?limit=0", "limit"),
        ("/users?limit=x", "limit"),
        ("/users?cursor=bm9uc2Vuc2U", "cursor"),
        ("/users?cursor=!", "cursor"),
        ("/users?wait=61s", "wait"),
        ("/users/UPPER", "name"),
    ] {
        let response = client().get(path).header("x-api-key", "k").send().await;
        let (problem, fields) = problem(response, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{path}: {problem}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405_with_allow() {
    problem(client().get("/nowhere").send().await, StatusCode::NOT_FOUND).await;
    for (method, path, allow) in [
        (Method::DELETE, "/users", "GET, HEAD, POST"),
        (Method::POST, "/users/alice", "GET, HEAD"),
        (Method::PUT, "/docs", "GET, HEAD"),
    ] {
        let response = client().request(method, path).send().await;
        response.assert_header("allow", allow);
        problem(response, StatusCode::METHOD_NOT_ALLOWED).await;
    }
    client()
        .request(Method::HEAD, "/users")
        .send()
        .await
        .assert_status_is_ok();
}

#[tokio::test]
async fn a_large_body_is_413_announced_or_not() {
    let large = vec![b' '; 1024 * 1024 + 1];
    let client = client();
    let announced = client
        .post("/users")
        .content_type("application/json")
        .header("content-length", 200_000_000)
        .body("{}");
    problem(announced.send().await, StatusCode::PAYLOAD_TOO_LARGE).await;
    let fits = format!("{}{{}}", " ".repeat(32 * 1024 - 2));
    let (_, fields) = problem(post(fits).await, StatusCode::BAD_REQUEST).await;
    assert_eq!(fields, ["name", "count"]);
    problem(post(" ".repeat(32 * 1024 + 1)).await, StatusCode::PAYLOAD_TOO_LARGE).await;
    let chunks = futures_util::stream::iter(
        large
            .chunks(1000)
            .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
            .collect::<Vec<_>>(),
    );
    problem(
        post(Body::from_bytes_stream(chunks)).await,
        StatusCode::PAYLOAD_TOO_LARGE,
    )
    .await;
}

#[tokio::test]
async fn a_key_is_accepted_in_either_header_and_a_401_has_a_challenge() {
    let client = client();
    for (name, value) in [("x-api-key", "k"), ("authorization", "Bearer k")] {
        let response = client.get("/users/alice").header(name, value).send().await;
        response.assert_status_is_ok();
        response.assert_json("admin alice").await;
    }
    for header in [None, Some("wrong")] {
        let request = client.get("/users/alice");
        let request = match header {
            Some(key) => request.header("x-api-key", key),
            None => request,
        };
        let response = request.send().await;
        response.assert_header("www-authenticate", "Bearer realm=\"vpnmanager\"");
        problem(response, StatusCode::UNAUTHORIZED).await;
    }
    client.get("/open").send().await.assert_json(false).await;
    client
        .get("/open")
        .header("x-api-key", "k")
        .send()
        .await
        .assert_json(true)
        .await;
    problem(
        client.get("/open").header("x-api-key", "wrong").send().await,
        StatusCode::UNAUTHORIZED,
    )
    .await;
}

#[tokio::test]
async fn our_own_mistakes_tell_nothing() {
    for path in ["/broken/error", "/broken/panic"] {
        let (problem, _) = problem(client().get(path).send().await, StatusCode::INTERNAL_SERVER_ERROR).await;
        assert_eq!(
            problem,
            json!({"type": "about:blank", "title": "Internal Server Error", "status": 500})
        );
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_any_other_replaced() {
    client()
        .get("/broken/id")
        .header("x-request-id", "abc-1")
        .send()
        .await
        .assert_json("abc-1")
        .await;
    let response = client()
        .get("/broken/id")
        .header("x-request-id", "not sane")
        .send()
        .await;
    let id = response.0.header("x-request-id").unwrap().to_owned();
    assert_eq!(id.len(), 32);
    response.assert_json(id).await;
}

#[tokio::test]
async fn pages_link_to_the_next_until_the_last() {
    let mut path = "/users?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let response = client().get(&path).send().await;
        let link = response.0.header("link").map(str::to_owned);
        let body: Value = response.0.into_body().into_json().await.unwrap();
        assert!(body.get("items").is_some(), "{path}: {body}");
        seen.extend(
            body["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["count"].as_u64().unwrap()),
        );
        assert_eq!(link.is_some(), body.get("next_cursor").is_some());
        let Some(link) = link else { break };
        path = link.strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn the_description_is_served_and_the_docs_need_nothing_from_outside() {
    let response = client().get("/openapi.json").send().await;
    let served: Value = response.0.into_body().into_json().await.unwrap();
    assert_eq!(&served, Spec::of(&service()).document());
    let schemes = &served["paths"]["/users/{name}"]["get"]["security"];
    assert_eq!(schemes, &json!([{"ApiKey": []}, {"BearerKey": []}]));

    let yaml = client()
        .get("/openapi.yaml")
        .send()
        .await
        .0
        .into_body()
        .into_string()
        .await
        .unwrap();
    assert!(yaml.contains("\"operationId\": \"create_user\""), "{yaml}");

    let response = client().get("/docs").send().await;
    response.assert_header("content-type", "text/html; charset=utf-8");
    let html = response.0.into_body().into_string().await.unwrap();
    assert!(html.contains("persistAuthorization: true"));
    assert!(html.contains("\"additionalProperties\": false"));
    for outside in ["src=\"http", "href=\"http", "@import", "src=\"//"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[tokio::test]
async fn browsers_are_told_what_not_to_do() {
    let client = client();
    for path in [
        "/docs",
        "/openapi.json",
        "/users",
        "/nowhere",
        "/users/alice",
        "/broken/panic",
    ] {
        let response = client.get(path).send().await;
        response.assert_header("x-frame-options", "DENY");
        response.assert_header("x-content-type-options", "nosniff");
        response.assert_header("referrer-policy", "no-referrer");
        response.assert_header("cache-control", "no-store");
        let policy = response.0.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{path}: {policy}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        // Swagger UI is one style and two scripts, each in the page.
        let hashes = if path == "/docs" { 3 } else { 0 };
        assert_eq!(policy.matches("'sha256-").count(), hashes, "{path}: {policy}");
    }
}

#[test]
fn the_description_passes_the_lint() {
    assert_eq!(Spec::of(&service()).lint(), Vec::<String>::new());
}

#[test]
fn a_committed_description_that_differs_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.json");
    let generated = Spec::of(&service());
    std::fs::write(&path, generated.json()).unwrap();
    spec::assert_committed(&path, &generated);

    std::fs::write(&path, generated.json().replace("create_user", "make_user")).unwrap();
    let panic = std::panic::catch_unwind(|| spec::assert_committed(&path, &generated)).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("/paths/~1users/post/operationId"), "{text}");
}
