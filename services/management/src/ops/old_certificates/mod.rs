//! Certificates of servers that nodes took over: reading them, until when they are accepted, revoking them. They come by an import
//! (`ops/import/`).

pub mod change;
pub mod list;
pub mod locked;
pub(in crate::ops) mod revoke;
pub mod revoke_one;

use sea_orm::DbErr;

use crate::ops::users::locked::LivingUserError;

/// Why a certificate of an old server was not read, changed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum OldCertificateError {
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] LivingUserError),
    /// The user has no such certificate, or it is revoked.
    #[error("the user has no such old certificate")]
    UnknownCertificate,
    /// The database failed.
    #[error("reading or changing the old certificate failed")]
    Database(#[from] DbErr),
}
