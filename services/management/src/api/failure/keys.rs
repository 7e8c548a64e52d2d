//! The errors of operations on API keys, and the refusals of keys, as HTTP problems.

use vpnmanager_entities::api_key::Role;
use vpnmanager_openapi::problem::ApiError;

use super::database;
use crate::{
    app::App,
    ops::{
        keys::{
            create_api_key::CreateApiKeyError, revoke_api_key::RevokeApiKeyError, rotate_api_key::RotateApiKeyError,
        },
        scope::BeyondScope,
    },
};

/// A key of the role `held` may not do what needs one of the role `needed`.
pub(in crate::api) fn lacks_role(held: Role, needed: Role) -> ApiError {
    ApiError::forbidden(format!(
        "this key has the role {}, and this needs a key of the role {}",
        held.as_str(),
        needed.as_str()
    ))
}

/// The operation shows or changes more than pools or groups.
pub(in crate::api) fn narrowed() -> ApiError {
    ApiError::forbidden("this key is narrowed to pools or groups, and this cannot be narrowed: take a key that is not")
}

/// A narrowed key may put nobody there.
pub(in crate::api) fn beyond(error: &BeyondScope) -> ApiError {
    ApiError::forbidden(error.to_string())
}

pub(in crate::api) fn unknown_key() -> ApiError {
    ApiError::not_found("there is no such API key")
}

pub(in crate::api) fn of_create(app: &App, error: CreateApiKeyError) -> ApiError {
    match error {
        CreateApiKeyError::NameTaken => ApiError::conflict("name", error.to_string()),
        CreateApiKeyError::NotNarrowed { field, .. } => ApiError::conflict(field, error.to_string()),
        CreateApiKeyError::UnknownPool(_) => ApiError::conflict("pools", error.to_string()),
        CreateApiKeyError::UnknownGroup(_) => ApiError::conflict("groups", error.to_string()),
        CreateApiKeyError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_rotate(app: &App, error: RotateApiKeyError) -> ApiError {
    match error {
        RotateApiKeyError::UnknownKey => unknown_key(),
        RotateApiKeyError::OfConfiguration | RotateApiKeyError::Revoked | RotateApiKeyError::Expired => {
            ApiError::conflicting_state(error.to_string())
        }
        RotateApiKeyError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_revoke(app: &App, error: RevokeApiKeyError) -> ApiError {
    match error {
        RevokeApiKeyError::UnknownKey => unknown_key(),
        RevokeApiKeyError::Own | RevokeApiKeyError::LastAdmin => ApiError::conflicting_state(error.to_string()),
        RevokeApiKeyError::Database(error) => database(app, error),
    }
}
