//! Counts users by state.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement};

use crate::{metrics::users::UserCounts, ops::transact::transact};

/// It reads the whole table once, in order, which an index would only make slower, and takes one core of PostgreSQL for 20 s at most.
const GENTLY: &str =
    "SET LOCAL enable_seqscan = on; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL statement_timeout = '20s'";

/// Counts all users, each in one state. This is the one figure whose cost grows with their number: nobody waits for it.
pub async fn count_users(db: &DatabaseConnection) -> Result<UserCounts, DbErr> {
    let counted = transact(db, |tx| async move {
        tx.execute_unprepared(GENTLY).await?;
        let statement = Statement::from_string(
            tx.get_database_backend(),
            "SELECT count(*) FILTER (WHERE removed_at IS NOT NULL) AS removing,
                    count(*) FILTER (WHERE removed_at IS NULL AND NOT active) AS suspended,
                    count(*) FILTER (WHERE removed_at IS NULL AND active AND expires_at <= now()) AS expired,
                    count(*) FILTER (WHERE removed_at IS NULL AND active AND (expires_at IS NULL OR expires_at > now())
                                       AND over_quota_since IS NOT NULL) AS over_quota,
                    count(*) FILTER (WHERE removed_at IS NULL AND active AND (expires_at IS NULL OR expires_at > now())
                                       AND over_quota_since IS NULL) AS active,
                    count(*) FILTER (WHERE removed_at IS NULL AND NOT synced) AS unsynced
             FROM users",
        );
        UserCounts::find_by_statement(statement).one(&*tx).await
    });
    Ok(counted.await?.unwrap_or_default())
}
