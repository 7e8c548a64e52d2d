//! Adds the changes of nodes' totals to the totals. Whoever changes placements adds a change and waits for nobody.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement};
use vpnmanager_runtime::reconcile::Next;

use crate::ops::transact::transact;

/// Changes that one statement adds.
const BATCH: i64 = 5_000;

#[derive(FromQueryResult)]
struct Taken {
    changes: i64,
}

/// Adds up to 5,000 changes. All replicas may run this at the same time: each takes other rows. Who reads totals and changes in one
/// statement sees each change once.
pub async fn sum_totals(db: &DatabaseConnection) -> Result<Next, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        // Totals in the order of their names: no deadlock between two replicas.
        "WITH oldest AS MATERIALIZED (SELECT id FROM node_total_changes ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED),
         taken AS (DELETE FROM node_total_changes c USING oldest WHERE c.id = oldest.id RETURNING c.*),
         summed AS (
             INSERT INTO node_totals AS t (server_id, wanted, applied, pending, digest, last_applied_at)
                 SELECT server_id, sum(wanted), sum(applied), sum(pending), bit_xor(digest), max(last_applied_at)
                 FROM taken GROUP BY server_id ORDER BY server_id
             ON CONFLICT (server_id) DO UPDATE SET wanted = t.wanted + EXCLUDED.wanted, applied = t.applied + EXCLUDED.applied,
                 pending = t.pending + EXCLUDED.pending, digest = t.digest # EXCLUDED.digest,
                 last_applied_at = GREATEST(t.last_applied_at, EXCLUDED.last_applied_at))
         SELECT count(*) AS changes FROM taken",
        [BATCH.into()],
    );
    let taken = Taken::find_by_statement(statement).one(db).await?;
    let is_full = taken.is_some_and(|taken| taken.changes == BATCH);
    Ok(if is_full { Next::Again } else { Next::Idle })
}

#[derive(FromQueryResult)]
struct Differing {
    nodes: i64,
}

/// Counts everything anew where totals and placements differ. They do only when somebody changed them by hand, or restored a dump without what
/// keeps them equal; nothing else would notice. While they are equal nobody waits for this.
pub async fn recount(db: &DatabaseConnection) -> Result<(), DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "WITH counted AS (
             SELECT server_id, count(*) FILTER (WHERE wanted_present) AS wanted,
                    count(*) FILTER (WHERE applied_revision >= wanted_revision) AS applied,
                    count(*) FILTER (WHERE applied_revision < wanted_revision) AS pending, bit_xor(digest) AS digest
             FROM placements GROUP BY server_id),
         kept AS (
             SELECT server_id, sum(wanted) AS wanted, sum(applied) AS applied, sum(pending) AS pending, bit_xor(digest) AS digest
             FROM (SELECT server_id, wanted, applied, pending, digest FROM node_totals
                   UNION ALL SELECT server_id, wanted, applied, pending, digest FROM node_total_changes) AS parts
             GROUP BY server_id)
         SELECT count(*) AS nodes FROM counted c FULL JOIN kept k USING (server_id)
         WHERE (COALESCE(c.wanted, 0), COALESCE(c.applied, 0), COALESCE(c.pending, 0), COALESCE(c.digest, 0))
               <> (COALESCE(k.wanted, 0), COALESCE(k.applied, 0), COALESCE(k.pending, 0), COALESCE(k.digest, 0))",
    );
    let differing = Differing::find_by_statement(statement).one(db).await?;
    if differing.is_none_or(|differing| differing.nodes > 0) {
        recount_locked(db).await?;
    }
    Ok(())
}

async fn recount_locked(db: &DatabaseConnection) -> Result<(), DbErr> {
    transact(db, |tx| async move {
        // Nobody changes placements meanwhile.
        tx.execute_unprepared(
            "LOCK TABLE placements IN SHARE ROW EXCLUSIVE MODE;
             DELETE FROM node_total_changes;
             DELETE FROM node_totals;
             INSERT INTO node_totals (server_id, wanted, applied, pending, digest, last_applied_at)
                 SELECT server_id, count(*) FILTER (WHERE wanted_present), count(*) FILTER (WHERE applied_revision >= wanted_revision),
                        count(*) FILTER (WHERE applied_revision < wanted_revision), bit_xor(digest), max(applied_at)
                 FROM placements GROUP BY server_id",
        )
        .await
        .map(drop)
    })
    .await
}
