//! The small service, and how it is asked.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::test::{TestClient, TestResponse};
use poem::{Body, Endpoint, EndpointExt as _, Response};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi, OpenApiService};
use serde_json::Value;
use vpnmanager_openapi::auth::{Authenticator, Caller, Identified, OptionalCaller, same_key};
use vpnmanager_openapi::middleware::{Conventions, RequestId, RequestUri};
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::server::Source;
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

pub(crate) struct Api;

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

pub(crate) fn service() -> OpenApiService<Api, ()> {
    OpenApiService::new(Api, "Test", "1.0.0")
}

pub(crate) fn client() -> TestClient<impl Endpoint<Output = Response>> {
    TestClient::new(
        vpnmanager_openapi::application(service(), Conventions::keys_of::<Operator>)
            .data(Arc::new(OneKey) as Arc<dyn Authenticator<Operator>>),
    )
}

/// Asserts that the answer is a problem of this status, and gives it with the names of its fields.
pub(crate) async fn problem(response: TestResponse, status: StatusCode) -> (Value, Vec<String>) {
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

pub(crate) async fn post(body: impl Into<Body>) -> TestResponse {
    client()
        .post("/users")
        .content_type("application/json")
        .body(body)
        .send()
        .await
}
