//! `/api/join-tokens`: one-time tokens that end-nodes enrol with.

use std::time::Duration;

use chrono::DateTime;
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret as _;
use vpnmanager_entities::join_token::TokenState;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::access::Admin;
use super::durations::TimeToLive;
use super::failure;
use super::scalars::{IdText, ServerIdText, TokenStateText};
use super::tags::Tag;
use crate::app::App;
use crate::ops::keys::list_join_tokens::{self, JoinTokenView};
use crate::ops::keys::{create_join_token, revoke_join_token};

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
    /// Its id, for `DELETE /api/join-tokens/{id}`. No secret.
    id: i64,
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

/// What is known of a join token. The token itself is stored nowhere.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
struct ListedJoinToken {
    /// Its id, for `DELETE /api/join-tokens/{id}`. Tokens are listed by it, the highest first.
    id: i64,
    /// The only server that may use it; absent: any new server may.
    server_id: Option<String>,
    /// Who created it: `key:<name>`.
    created_by: String,
    /// When it was created.
    created_at: Timestamp,
    /// When it expires or expired; of a revoked token, when it was revoked.
    expires_at: Timestamp,
    /// When it was used.
    used_at: Option<Timestamp>,
    /// The server that enrolled with it.
    used_by: Option<String>,
    /// `open`: it enrols a server. `used`: a server enrolled with it. `expired`: its time was over, or it was revoked, before that.
    state: TokenStateText,
}

#[derive(Debug, ApiResponse)]
enum Revoked {
    /// Nobody enrols with the token any more.
    #[oai(status = 204)]
    Done,
}

pub(super) struct JoinTokensApi;

#[OpenApi(prefix_path = "/api/join-tokens", tag = "Tag::JoinTokens")]
impl JoinTokensApi {
    /// List join tokens
    ///
    /// Newest tokens first, also those that are of no use any more. The tokens themselves are not shown: they are stored nowhere.
    #[oai(path = "/", method = "get", operation_id = "list_join_tokens")]
    async fn list(
        &self,
        _admin: Admin,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<IdCursor>>,
        /// Only tokens in this state.
        state: Query<Option<TokenStateText>>,
    ) -> Result<PageAnswer<ListedJoinToken>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let before = cursor.0.map(|cursor| cursor.position());
        let state = state.0.map(|state| state.0);
        let rows = list_join_tokens::list_join_tokens(&app.db, state, before, limit.fetch()).await;
        let rows = rows.map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(rows, limit, &uri, |row| row.id, ListedJoinToken::of))
    }

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
            id: made.id,
            token: made.token.expose_secret().to_owned(),
            server_id: server_id.map(|id| id.to_string()),
            expires_at: made.expires_at.into(),
        };
        Ok(JoinTokenCreated::Created(Json(body), "no-store".to_owned()))
    }

    /// Revoke a join token
    ///
    /// For a token that others may have seen, or that nobody needs: from now on it is as good as one that was never made. It stays in the
    /// list. A token that has expired keeps its end. 409 if a server enrolled with it: what that server got is ended by deregistering it.
    #[oai(path = "/:id", method = "delete", operation_id = "revoke_join_token")]
    async fn revoke(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The id of the token, from the list or from the answer that showed the token.
        id: Path<IdText>,
    ) -> Result<Revoked, ApiError> {
        let revoked = revoke_join_token::revoke_join_token(app.0, &admin, id.0.0).await;
        revoked
            .map(|()| Revoked::Done)
            .map_err(|error| failure::nodes::of_revoke_join_token(&app, error))
    }
}

impl ListedJoinToken {
    fn of(view: JoinTokenView) -> Self {
        Self {
            id: view.id,
            server_id: view.server_id.map(|id| id.to_string()),
            created_by: view.created_by,
            created_at: view.created_at.into(),
            expires_at: view.expires_at.into(),
            used_at: view.used_at.map(Into::into),
            used_by: view.used_by.map(|id| id.to_string()),
            state: TokenStateText(view.state),
        }
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
            id: 42,
            token: "vpnjoin-zq3v5k2mhx6t".to_owned(),
            server_id: Some("endnode-1".to_owned()),
            expires_at: DateTime::from_timestamp(1_795_003_600, 0).unwrap_or_default().into(),
        }
    }
}

impl Example for ListedJoinToken {
    fn example() -> Self {
        let at = |seconds| Timestamp::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default());
        Self {
            id: 42,
            server_id: Some("endnode-1".to_owned()),
            created_by: "key:admin".to_owned(),
            created_at: at(1_795_000_000),
            expires_at: at(1_795_003_600),
            used_at: Some(at(1_795_000_060)),
            used_by: Some("endnode-1".to_owned()),
            state: TokenStateText(TokenState::Used),
        }
    }
}
