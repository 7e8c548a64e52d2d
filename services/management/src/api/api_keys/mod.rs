//! `/api/api-keys`: who may call this API.

mod schema;

use std::time::Duration;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use secrecy::ExposeSecret as _;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;

use super::access::Admin;
use super::failure;
use super::scalars::{FreeText, IdText};
use super::tags::Tag;
use crate::app::App;
use crate::ops::keys::create_api_key::{MadeApiKey, create_api_key};
use crate::ops::keys::list_api_keys::{ApiKeyFilter, get_api_key, list_api_keys};
use crate::ops::keys::revoke_api_key::revoke_api_key;
use crate::ops::keys::rotate_api_key::rotate_api_key;
use schema::{
    ApiKey, ApiKeyCreated, ApiKeyRevoked, ApiKeyRotated, ApiKeyRotation, KeyStateText, NewApiKeyBody, RoleText,
    ShownApiKey,
};

/// How long the key of before is accepted after a rotation.
const DEFAULT_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) struct ApiKeysApi;

#[OpenApi(prefix_path = "/api/api-keys", tag = "Tag::ApiKeys")]
impl ApiKeysApi {
    /// List API keys
    ///
    /// Newest keys first, also those that are of no use any more. The keys themselves are not shown: they are stored nowhere.
    #[oai(path = "/", method = "get", operation_id = "list_api_keys")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        _admin: Admin,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<IdCursor>>,
        /// Only keys of this role.
        role: Query<Option<RoleText>>,
        /// Only keys of exactly this owner.
        owner: Query<Option<FreeText>>,
        /// Only keys in this state.
        state: Query<Option<KeyStateText>>,
    ) -> Result<PageAnswer<ApiKey>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let before = cursor.0.map(|cursor| cursor.position());
        let filter = ApiKeyFilter {
            role: role.0.map(|role| role.0),
            owner: owner.0.map(FreeText::into_string),
            state: state.0.map(|state| state.0),
        };
        let rows = list_api_keys(&app.db, filter, before, limit.fetch()).await;
        let rows = rows.map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(rows, limit, &uri, |row| row.id, ApiKey::of))
    }

    /// Create an API key
    ///
    /// The answer shows the key, and nothing does later: it is stored nowhere. It has the form `vpnm_[0-9A-Za-z]{49}`; the last six characters
    /// check the others. A key of the role `viewer` or `operator` may be narrowed to pools, groups or both, and then sees and changes only users who
    /// are in one of each; one of the role `node` may be narrowed to pools. 409 if another key is narrowed.
    #[oai(path = "/", method = "post", operation_id = "create_api_key")]
    async fn create(
        &self,
        admin: Admin,
        app: Data<&App>,
        body: Json<NewApiKeyBody>,
    ) -> Result<ApiKeyCreated, ApiError> {
        let new = body.0.into_new()?;
        let made = create_api_key(app.0, &admin, &new).await;
        let made = made.map_err(|error| failure::keys::of_create(&app, error))?;
        Ok(ApiKeyCreated::new(shown(made)))
    }

    /// Get an API key
    #[oai(path = "/:key_id", method = "get", operation_id = "get_api_key")]
    async fn get(
        &self,
        _admin: Admin,
        app: Data<&App>,
        /// The id of the key, from the list or from the answer that showed the key.
        key_id: Path<IdText>,
    ) -> Result<Json<ApiKey>, ApiError> {
        let found = get_api_key(&app.db, key_id.0.0).await;
        let found = found.map_err(|error| failure::database(&app, error))?;
        found
            .map(|key| Json(ApiKey::of(key)))
            .ok_or_else(failure::keys::unknown_key)
    }

    /// Rotate an API key
    ///
    /// Gives it another secret, which only this answer shows; its id, name, role, owner and end stay. The key of before is accepted for the `grace`
    /// time; where there is one of a rotation before, that ends at once. 409 if the key was revoked or has expired, and for the key of `API_KEY`,
    /// which is changed in the configuration of management.
    #[oai(path = "/:key_id/rotate", method = "post", operation_id = "rotate_api_key")]
    async fn rotate(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The id of the key, from the list or from the answer that showed the key.
        key_id: Path<IdText>,
        body: Json<ApiKeyRotation>,
    ) -> Result<ApiKeyRotated, ApiError> {
        let grace = body.0.grace.map_or(DEFAULT_GRACE, |grace| grace.duration());
        let made = rotate_api_key(app.0, &admin, key_id.0.0, grace).await;
        let made = made.map_err(|error| failure::keys::of_rotate(&app, error))?;
        Ok(ApiKeyRotated::new(shown(made)))
    }

    /// Revoke an API key
    ///
    /// Within a second no replica accepts it, nor the key of before a rotation. It stays in the list. A key that was revoked before stays as it is.
    /// 409 for the key of the request itself, and for the last admin key that is valid.
    #[oai(path = "/:key_id", method = "delete", operation_id = "revoke_api_key")]
    async fn revoke(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The id of the key, from the list or from the answer that showed the key.
        key_id: Path<IdText>,
    ) -> Result<ApiKeyRevoked, ApiError> {
        let revoked = revoke_api_key(app.0, &admin, key_id.0.0).await;
        revoked
            .map(|()| ApiKeyRevoked::Done)
            .map_err(|error| failure::keys::of_revoke(&app, error))
    }
}

fn shown(made: MadeApiKey) -> ShownApiKey {
    ShownApiKey {
        key: made.key.expose_secret().to_owned(),
        about: ApiKey::of(made.about),
    }
}
