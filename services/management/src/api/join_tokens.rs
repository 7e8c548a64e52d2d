//! `/api/join-tokens`: one-time tokens that end-nodes enrol with.

use std::time::Duration;

use chrono::DateTime;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret as _;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::access::Admin;
use super::failure;
use super::scalars::{ServerIdText, TimeToLive};
use super::tags::Tag;
use crate::app::App;
use crate::ops::keys::create_join_token;

const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);

/// A join token to create.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
struct NewJoinToken {
    /// The only server that may use the token. If that server is registered already, the token also lets it replace its keys. Without this
    /// field any new server may use the token.
    server_id: Option<ServerIdText>,
    /// How long the token is valid, 1s to 7days: a whole number of `s`, `m`, `h` or `days`; 1h by default.
    ttl: Option<TimeToLive>,
}

/// A join token. It is shown only once, in this answer.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "JoinToken")]
struct JoinTokenBody {
    /// The value that the end-node sends as `join_token`. A secret.
    token: String,
    /// The only server that may use it.
    server_id: Option<String>,
    /// When it expires.
    expires_at: Timestamp,
}

#[derive(ApiResponse)]
enum JoinTokenCreated {
    /// The token was created.
    #[oai(status = 201)]
    Created(
        Json<JoinTokenBody>,
        /// Always `no-store`.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

pub(super) struct JoinTokensApi;

#[OpenApi(prefix_path = "/api/join-tokens", tag = "Tag::JoinTokens")]
impl JoinTokensApi {
    /// Create a join token
    #[oai(path = "/", method = "post", operation_id = "create_join_token")]
    async fn create(
        &self,
        admin: Admin,
        app: Data<&App>,
        body: Json<NewJoinToken>,
    ) -> Result<JoinTokenCreated, ApiError> {
        let ttl = body.0.ttl.map_or(DEFAULT_TTL, |ttl| ttl.duration());
        let server_id = body.0.server_id.map(|id| id.0);
        let made = create_join_token::create_join_token(app.0, &admin, server_id.as_ref(), ttl).await;
        let made = made.map_err(|error| failure::database(&app, error))?;
        let body = JoinTokenBody {
            token: made.token.expose_secret().to_owned(),
            server_id: server_id.map(|id| id.to_string()),
            expires_at: made.expires_at.into(),
        };
        Ok(JoinTokenCreated::Created(Json(body), "no-store".to_owned()))
    }
}

impl Example for NewJoinToken {
    fn example() -> Self {
        Self {
            server_id: "endnode-1".parse().ok().map(ServerIdText),
            ttl: "1h".parse().ok(),
        }
    }
}

impl Example for JoinTokenBody {
    fn example() -> Self {
        Self {
            token: "vpnjoin-zq3v5k2mhx6t".to_owned(),
            server_id: Some("endnode-1".to_owned()),
            expires_at: DateTime::from_timestamp(1_795_003_600, 0).unwrap_or_default().into(),
        }
    }
}
