//! Records which commands are in the stream, and when to publish the others again.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use vpnmanager_nats::ids::Revision;

use crate::ops::{in_batches::change_all, publications::claim::Claim};

use vpnmanager_runtime::backoff::Backoff;

/// The pauses between two tries for one placement.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));

/// The result of publishing one claim.
#[derive(Debug, Clone, Copy)]
pub enum PublicationResult {
    /// The stream holds this revision, or a newer one, at this sequence.
    InStream {
        /// The revision that it holds.
        revision: Revision,
        /// Its stream sequence.
        sequence: u64,
    },
    /// Publishing failed; the stream may or may not hold it.
    Failed,
}

/// Records the results; `results` has one for each claim, in the same order. If the replica dies before this, its leases end by themselves.
pub async fn record_publications(
    db: &DatabaseConnection,
    claims: &[Claim],
    results: &[PublicationResult],
) -> Result<(), DbErr> {
    let (mut ids, mut revisions, mut sequences) = (Vec::new(), Vec::new(), Vec::new());
    let (mut failed, mut pauses) = (Vec::new(), Vec::new());
    for (claim, result) in claims.iter().zip(results) {
        match result {
            PublicationResult::InStream { revision, sequence } => {
                ids.push(claim.placement_id);
                revisions.push(revision.0);
                sequences.push(i64::try_from(*sequence).unwrap_or(i64::MAX));
            }
            PublicationResult::Failed => {
                failed.push(claim.placement_id);
                pauses.push(BACKOFF.after(claim.attempts.unsigned_abs()).as_secs_f64());
            }
        }
    }
    let backend = db.get_database_backend();
    if !ids.is_empty() {
        let statement = Statement::from_sql_and_values(
            backend,
            // Locked in the order of their ids, as for acks, so there is no deadlock.
            "WITH locked AS MATERIALIZED (SELECT id FROM placements WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE)
             UPDATE placements SET published_revision = GREATEST(published_revision, r.revision), published_sequence = r.sequence,
                 published_at = now(), lease_until = 'epoch'
             FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) AS r (id, revision, sequence) JOIN locked USING (id)
             WHERE placements.id = r.id",
            [ids.into(), revisions.into(), sequences.into()],
        );
        db.execute_raw(statement).await?;
    }
    if !failed.is_empty() {
        let statement = Statement::from_sql_and_values(
            backend,
            "UPDATE placements SET lease_until = now() + make_interval(secs => f.pause)
             FROM UNNEST($1::bigint[], $2::double precision[]) AS f (id, pause)
             WHERE placements.id = f.id",
            [failed.into(), pauses.into()],
        );
        db.execute_raw(statement).await?;
    }
    Ok(())
}

/// Makes placements due again that were published longer than `after` ago and are still not applied: the stream may have lost them. A node that
/// is not heard applies nothing, and the stream is compared when it returns. Rows that another transaction is changing are left out.
pub async fn republish_overdue(db: &DatabaseConnection, after: Duration) -> Result<u64, DbErr> {
    change_all(
        db,
        "WITH overdue AS MATERIALIZED (
             SELECT id FROM placements
             WHERE applied_revision < wanted_revision AND published_revision >= wanted_revision
               AND published_at < now() - make_interval(secs => $2)
               AND server_id IN (SELECT name FROM servers WHERE state NOT IN ('stale', 'lost'))
             ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE placements p SET published_revision = 0 FROM overdue WHERE p.id = overdue.id",
        [after.as_secs_f64().into()],
    )
    .await
}

/// Makes placements due whose publication failed and that wait for their next try. Rows that another transaction is changing are left out.
pub async fn retry_now(db: &DatabaseConnection) -> Result<(), DbErr> {
    change_all(
        db,
        "WITH waiting AS MATERIALIZED (
             SELECT id FROM placements WHERE published_revision < wanted_revision AND lease_until > now()
             ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE placements p SET lease_until = 'epoch', attempts = 0 FROM waiting WHERE p.id = waiting.id",
        [],
    )
    .await
    .map(drop)
}
