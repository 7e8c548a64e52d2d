//! What PostgreSQL says of an error: its SQLSTATE (PostgreSQL manual, appendix A).

use sea_orm::{DbErr, RuntimeErr};

/// The SQLSTATE of an error, when the server gave one.
pub fn sqlstate(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return None;
    };
    error
        .as_database_error()
        .and_then(|error| error.code())
        .map(|code| code.into_owned())
}

/// Whether the database refuses the values themselves, so that trying again is in vain: class 22 (data exception) or 23 (integrity
/// constraint violation).
pub fn is_about_data(error: &DbErr) -> bool {
    sqlstate(error).is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}
