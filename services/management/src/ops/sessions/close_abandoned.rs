//! Closes sessions whose node has left the fleet: nobody will tell of their end.

use sea_orm::{DatabaseConnection, DbErr};

use crate::ops::in_batches::change_all;

/// Closes them with the time when they were last seen, as assumed. Gives how many.
pub async fn close_abandoned(db: &DatabaseConnection) -> Result<u64, DbErr> {
    let sql = "WITH abandoned AS MATERIALIZED (
                   SELECT since, cid, server_id FROM sessions s
                   WHERE ended_at IS NULL AND NOT EXISTS (SELECT FROM servers n WHERE n.name = s.server_id)
                   LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
               UPDATE sessions t SET ended_at = GREATEST(t.seen_at, t.since + interval '1 millisecond'), end_kind = 'assumed'
               FROM abandoned a WHERE t.since = a.since AND t.cid = a.cid AND t.server_id = a.server_id";
    change_all(db, sql, []).await
}
