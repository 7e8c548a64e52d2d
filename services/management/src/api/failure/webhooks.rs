//! The errors of operations on webhooks as HTTP problems.

use vpnmanager_openapi::problem::ApiError;

use super::database;
use crate::{
    app::App,
    ops::webhooks::{
        change::ChangeWebhookError, create::CreateWebhookError, remove::RemoveWebhookError,
        rotate_secret::RotateSecretError, target::TargetError, try_out::TryOutError,
    },
};

pub(in crate::api) fn unknown_webhook() -> ApiError {
    ApiError::not_found("there is no such webhook")
}

pub(in crate::api) fn of_create(app: &App, error: CreateWebhookError) -> ApiError {
    match error {
        CreateWebhookError::Target(error) => of_target(&error),
        CreateWebhookError::TooMany => ApiError::conflicting_state(error.to_string()),
        CreateWebhookError::TooEarly => ApiError::unavailable(error.to_string()),
        CreateWebhookError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_change(app: &App, error: ChangeWebhookError) -> ApiError {
    match error {
        ChangeWebhookError::Unknown => unknown_webhook(),
        ChangeWebhookError::Target(error) => of_target(&error),
        ChangeWebhookError::TooEarly => ApiError::unavailable(error.to_string()),
        ChangeWebhookError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_remove(app: &App, error: RemoveWebhookError) -> ApiError {
    match error {
        RemoveWebhookError::Unknown => unknown_webhook(),
        RemoveWebhookError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_rotate(app: &App, error: RotateSecretError) -> ApiError {
    match error {
        RotateSecretError::Unknown => unknown_webhook(),
        RotateSecretError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_try(app: &App, error: TryOutError) -> ApiError {
    match error {
        TryOutError::Unknown => unknown_webhook(),
        TryOutError::Disabled => ApiError::conflicting_state(error.to_string()),
        TryOutError::Database(error) => database(app, error),
    }
}

/// A URL that has the form of the description, and nothing is sent to.
fn of_target(error: &TargetError) -> ApiError {
    ApiError::conflict("url", error.to_string())
}
