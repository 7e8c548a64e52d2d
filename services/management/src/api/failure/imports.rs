//! The errors of imports, and of operations on certificates of old servers, as HTTP problems.

use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::error_chain::chain;

use super::{
    database,
    users::{of_create_one, of_living_user},
};
use crate::{
    app::App,
    ops::{
        import::{order::ImportError, source::ReadSourceError},
        old_certificates::OldCertificateError,
        users::{create::CreateUserError, create_user::CreateOneError},
    },
};

pub(in crate::api) fn of_read_source(error: ReadSourceError) -> ApiError {
    match error {
        // It was written to a folder of ours.
        ReadSourceError::Open(_) => ApiError::internal(error),
        ReadSourceError::Unpack(_) | ReadSourceError::Read(_) => {
            ApiError::invalid("body", format!("cannot be imported: {}", chain(&error)))
        }
    }
}

pub(in crate::api) fn of_import(app: &App, error: ImportError) -> ApiError {
    match error {
        ImportError::UnknownNode(_) | ImportError::NodeLeaves(_) => ApiError::conflict("node", error.to_string()),
        ImportError::OldUntilPassed => ApiError::conflict("old_until", "must be in the future"),
        ImportError::Create(error) => of_create(app, error),
        ImportError::Database(error) => database(app, error),
    }
}

/// The server is a parameter of the import, and cannot be left out.
fn of_create(app: &App, error: CreateUserError) -> ApiError {
    match error {
        CreateUserError::UnknownServer | CreateUserError::ServerLost { .. } => {
            ApiError::conflict("node", error.to_string())
        }
        CreateUserError::ServerUnavailable => ApiError::conflict(
            "node",
            "the server is disabled, draining or leaving its pool, and takes no users: enable or undrain it first",
        ),
        CreateUserError::ServerInOtherPool { .. } => ApiError::conflict("group", error.to_string()),
        CreateUserError::UsernameTaken
        | CreateUserError::UnknownGroup(_)
        | CreateUserError::LacksOwnGroup(_)
        | CreateUserError::NoServer { .. }
        | CreateUserError::Database(_)
        | CreateUserError::Stopping => of_create_one(app, CreateOneError::User(error)),
    }
}

pub(in crate::api) fn of_old_certificate(app: &App, error: OldCertificateError) -> ApiError {
    match error {
        OldCertificateError::User(error) => of_living_user(app, error),
        OldCertificateError::UnknownCertificate => {
            ApiError::not_found("the user has no such old certificate, or it is revoked")
        }
        OldCertificateError::Database(error) => database(app, error),
    }
}
