//! The answers that have more than one status.

use poem_openapi::{ApiResponse, payload::Json};

use super::local_user::LocalUser;

/// The answer to a create.
#[derive(ApiResponse)]
pub(super) enum Created {
    /// Management has the user; commands follow.
    #[oai(status = 201)]
    Created(Json<LocalUser>),
    /// Management is away: the request is kept and carried there.
    #[oai(status = 202)]
    Queued(Json<LocalUser>),
}

/// The answer to a delete.
#[derive(ApiResponse)]
pub(super) enum Deleted {
    /// Refused here, and management has it.
    #[oai(status = 200)]
    Deleted(Json<LocalUser>),
    /// Refused here; management is away and is told later.
    #[oai(status = 202)]
    Queued(Json<LocalUser>),
}
