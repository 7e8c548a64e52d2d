//! Closes sessions of whose end nobody will tell: their node has left the fleet, has lost its journal, or speaks and is silent about them.

use sea_orm::{DatabaseConnection, DbErr};

use crate::ops::in_batches::change_all;

/// Closes them as assumed: with the time when they were last seen alive, and as gone now. Gives how many.
///
/// A node tells of each session that lives every five minutes, and of all of them at once when it begins with an empty journal. So one that it
/// did not tell of within ten minutes after it lost its journal does not live any more; what it had sent before that may come for two minutes.
/// A session that a node does not tell of for a day, while it is heard, was forgotten by it. Only silence of a node that is heard without a
/// break counts. If a session lives all the same, the next report of it opens it again
/// ([`follow`](crate::domain::session_history::follow)): it comes after all that the node had said. Until then the row is kept as one that was
/// just heard of: a row that was deleted would begin anew, and count its bytes twice.
pub async fn close_abandoned(db: &DatabaseConnection) -> Result<u64, DbErr> {
    let sql = "WITH abandoned AS MATERIALIZED (
                   SELECT s.since, s.cid, s.server_id FROM sessions s LEFT JOIN servers n ON n.name = s.server_id
                   WHERE s.ended_at IS NULL AND (
                       n.id IS NULL
                       OR n.state IN ('healthy', 'degraded') AND (
                           n.heard_since < now() - interval '10 minutes' AND n.journal_lost_at < now() - interval '10 minutes'
                               AND s.recorded_at < n.journal_lost_at + interval '2 minutes'
                           OR n.heard_since < now() - interval '1 day' AND s.recorded_at < now() - interval '1 day'))
                   LIMIT $1 FOR NO KEY UPDATE OF s SKIP LOCKED)
               UPDATE sessions t SET ended_at = GREATEST(t.seen_at, t.since + interval '1 millisecond'), end_kind = 'assumed',
                   recorded_at = now(),
                   gone_at = GREATEST(now(), t.seen_at + interval '1 millisecond', t.since + interval '1 millisecond')
               FROM abandoned a WHERE t.since = a.since AND t.cid = a.cid AND t.server_id = a.server_id AND t.ended_at IS NULL";
    change_all(db, sql, []).await
}
