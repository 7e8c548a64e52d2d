//! The answers that have more than one status.

use poem_openapi::{ApiResponse, payload::Json};

use super::local_user::LocalUser;

/// The answer to a create.
#[derive(ApiResponse)]
pub(super) enum Created {
    /// Management created the user; commands follow.
    #[oai(status = 201)]
    Created(Json<LocalUser>),
    /// Management did not answer in time: the request is kept and sent to it.
    #[oai(status = 202)]
    Queued(Json<LocalUser>),
}

/// The answer to a delete.
#[derive(ApiResponse)]
pub(super) enum Deleted {
    /// The user is refused here, and management accepted the delete.
    #[oai(status = 200)]
    Deleted(Json<LocalUser>),
    /// The user is refused here; management did not answer in time and is told later.
    #[oai(status = 202)]
    Queued(Json<LocalUser>),
}
