//! The SQLSTATE of a database error (PostgreSQL manual, appendix A).

use sea_orm::{DbErr, RuntimeErr};

/// The SQLSTATE of an error; `None` if the error is not an answer of PostgreSQL.
pub fn sqlstate(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return None;
    };
    error
        .as_database_error()
        .and_then(|error| error.code())
        .map(|code| code.into_owned())
}

/// PostgreSQL manual, appendix A: `read_only_sql_transaction`.
const READ_ONLY: &str = "25006";

/// Whether the database takes no changes, as a standby does, or one that an operator or a failover made read-only.
pub fn is_read_only(error: &DbErr) -> bool {
    sqlstate(error).is_some_and(|code| code == READ_ONLY)
}

/// Whether the database rejects the values themselves, so that it is useless to try again: class 22 (data exception) or 23 (integrity
/// constraint violation).
pub fn is_about_data(error: &DbErr) -> bool {
    sqlstate(error).is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}
