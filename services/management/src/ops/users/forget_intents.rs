//! Deletes old answers to requests of local APIs. A node repeats a request until it has the answer, so an answer that is this old is either
//! known to the node or was asked for by one that has been away for as long.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

/// How long an answer is kept. A node that repeats a create after that is told that the name is taken.
const KEPT: &str = "7 days";
/// Rows deleted in one statement.
const BATCH: u32 = 1_000;

/// Deletes up to 1,000 of them, and says whether there may be more.
pub async fn forget_intents(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let sql = "DELETE FROM intents WHERE id IN (
                   SELECT id FROM intents WHERE created_at < now() - CAST($1 AS interval) ORDER BY created_at LIMIT $2
               )";
    let statement =
        Statement::from_sql_and_values(db.get_database_backend(), sql, [KEPT.into(), i64::from(BATCH).into()]);
    let deleted = db.execute_raw(statement).await?;
    Ok(deleted.rows_affected() >= u64::from(BATCH))
}
