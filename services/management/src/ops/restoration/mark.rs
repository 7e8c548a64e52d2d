//! The mark of a database that was restored: while nobody has decided what holds, management changes nothing.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};

/// A database that was restored from a backup, and waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult, thiserror::Error)]
#[error(
    "the database was restored from {source_file}, made {made_at}, and nobody has decided yet what holds of what the fleet was told since: nodes \
     serve on as they are. `vpnmanager-management restore-review` says what that is, `restore-decide --keep fleet` or `--keep file` decides"
)]
pub struct Undecided {
    /// The row.
    pub id: i64,
    /// When the backup was made.
    pub made_at: DateTime<Utc>,
    /// The file.
    pub source_file: String,
}

/// The mark, if there is one.
pub async fn undecided(db: &impl ConnectionTrait) -> Result<Option<Undecided>, DbErr> {
    let select =
        "SELECT id, made_at, source AS source_file FROM restorations WHERE decided_at IS NULL ORDER BY id LIMIT 1";
    let statement = Statement::from_string(db.get_database_backend(), select);
    Undecided::find_by_statement(statement).one(db).await
}
