//! Trying a transaction again that lost against another one.

use sea_orm::{DbErr, RuntimeErr};

const MAX_TRIES: usize = 4;
/// PostgreSQL manual, appendix A: `serialization_failure` and `deadlock_detected`; the transaction was rolled back whole.
const LOST_AGAINST_ANOTHER: [&str; 2] = ["40001", "40P01"];

/// An error that may stem from the database.
pub trait FromDatabase {
    /// The database's error, if it is one.
    fn database(&self) -> Option<&DbErr>;
}

impl FromDatabase for DbErr {
    fn database(&self) -> Option<&DbErr> {
        Some(self)
    }
}

/// Runs `attempt` again while it loses against another transaction, a few times.
///
/// # Errors
/// The last attempt's.
pub async fn on_conflict<T, E, Fut>(mut attempt: impl FnMut() -> Fut) -> Result<T, E>
where
    E: FromDatabase,
    Fut: Future<Output = Result<T, E>>,
{
    let mut tries = 1;
    loop {
        let result = attempt().await;
        match &result {
            Err(error) if tries < MAX_TRIES && error.database().is_some_and(lost_against_another) => tries += 1,
            Ok(_) | Err(_) => return result,
        }
    }
}

fn lost_against_another(error: &DbErr) -> bool {
    sqlstate(error).is_some_and(|code| LOST_AGAINST_ANOTHER.contains(&code.as_str()))
}

/// Whether the database refuses the values themselves, so that trying again is in vain: SQLSTATE class 22 (data exception) or 23
/// (integrity constraint violation), PostgreSQL manual, appendix A.
pub fn is_about_data(error: &DbErr) -> bool {
    sqlstate(error).is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

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
