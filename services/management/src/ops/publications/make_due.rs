//! Makes placements due: the publisher takes them next, regardless of earlier tries.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::ids::{NodeId, UserKey};

use crate::ops::count::count;

/// Whether commands may wait behind others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// They take their turn.
    Ordinary,
    /// They end access: they are published before the ordinary ones, and sent to the nodes directly too.
    EndsAccess,
}

/// Brings the placements of these users in line with the users, and makes them due: the newest revision, the home's role, and absence
/// when the user is removed.
///
/// One statement, because PostgreSQL checks the foreign key of a row that is updated twice in one transaction, and would then wait for
/// the row of a node that is being deregistered, which waits for the user.
pub async fn want_newest(db: &impl ConnectionTrait, users: &[i64], urgency: Urgency) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        // Locked in the order of their ids, as the recording of publications does it: no deadlock.
        "WITH locked AS MATERIALIZED (SELECT id FROM placements WHERE user_id = ANY($1) ORDER BY id FOR NO KEY UPDATE)
         UPDATE placements p SET wanted_revision = u.revision, lease_until = 'epoch', attempts = 0,
             wanted_present = p.wanted_present AND u.removed_at IS NULL,
             role = CASE WHEN p.server_id = u.server_id THEN 'home' ELSE 'standby' END,
             urgent_since = CASE WHEN $2 THEN now() ELSE p.urgent_since END,
             asked_at = CASE WHEN $2 THEN NULL ELSE p.asked_at END
         FROM users u, locked WHERE p.id = locked.id AND u.id = p.user_id",
        [users.to_vec().into(), (urgency == Urgency::EndsAccess).into()],
    );
    db.execute_raw(statement).await.map(drop)
}

/// Rows that are locked at once: whoever wants to change one of them waits.
const BATCH: usize = 1_000;

#[derive(FromQueryResult)]
struct Marked {
    upto: Option<i64>,
    marked: i64,
}

/// Marks placements as unpublished because the store was replaced: a batch of those after the placement with this id. Returns the id of the last,
/// or `None` if there are no more.
pub async fn publish_all_again(db: &impl ConnectionTrait, after: i64) -> Result<Option<i64>, DbErr> {
    let batch = count(BATCH);
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "WITH next AS MATERIALIZED (
             SELECT id FROM placements WHERE id > $1 ORDER BY id LIMIT $2 FOR NO KEY UPDATE),
         marked AS (
             UPDATE placements p SET published_revision = 0, published_sequence = 0, lease_until = 'epoch', attempts = 0
             FROM next WHERE p.id = next.id)
         SELECT max(id) AS upto, count(*) AS marked FROM next",
        [after.into(), batch.into()],
    );
    let marked = Marked::find_by_statement(statement).one(db).await?;
    Ok(marked.filter(|last| last.marked == batch).and_then(|last| last.upto))
}

/// Marks the placements of these users on one node as unpublished, because the stream lost their commands or holds others. The publisher takes
/// them next, those first of users without access. In batches, each of its own.
pub async fn publish_again(db: &DatabaseConnection, node: &NodeId, users: &[UserKey]) -> Result<(), DbErr> {
    for batch in users.chunks(BATCH) {
        let keys: Vec<uuid::Uuid> = batch.iter().map(|user| user.0).collect();
        let statement = Statement::from_sql_and_values(
            db.get_database_backend(),
            "WITH lost AS MATERIALIZED (
                 SELECT p.id, (NOT u.active OR u.over_quota_since IS NOT NULL OR u.removed_at IS NOT NULL
                               OR COALESCE(u.expires_at <= now(), false)) AS ends_access
                 FROM placements p JOIN users u ON u.id = p.user_id
                 WHERE u.key = ANY($1) AND p.server_id = $2 ORDER BY p.id FOR NO KEY UPDATE OF p)
             UPDATE placements p SET published_revision = 0, published_sequence = 0, lease_until = 'epoch', attempts = 0,
                 urgent_since = CASE WHEN lost.ends_access AND p.applied_revision < p.wanted_revision THEN now() ELSE p.urgent_since END
             FROM lost WHERE p.id = lost.id",
            [keys.into(), node.clone().into()],
        );
        db.execute_raw(statement).await?;
    }
    Ok(())
}
