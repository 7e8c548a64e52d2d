//! Finding nodes that hold something else than they should, though nothing waits for them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::{heartbeats::Heartbeat, sync::StateDigest};

#[derive(FromQueryResult)]
struct Settled {
    name: String,
    digest: i64,
    last_applied_at: Option<DateTime<Utc>>,
}

/// The nodes among these whose digest is not that of their placements. While an ack or a local request is on its way, and until a
/// heartbeat was made after the last ack, nothing can be told: such a node is not among them.
///
/// # Errors
/// When the database does not answer.
pub async fn find_drift(db: &impl ConnectionTrait, heartbeats: &[&Heartbeat]) -> Result<HashSet<String>, DbErr> {
    let comparable = heartbeats
        .iter()
        .filter(|heartbeat| heartbeat.complete && heartbeat.queued_intents == 0);
    let comparable: HashMap<String, &Heartbeat> = comparable
        .map(|heartbeat| (heartbeat.node.to_string(), *heartbeat))
        .collect();
    if comparable.is_empty() {
        return Ok(HashSet::new());
    }
    let names: Vec<String> = comparable.keys().cloned().collect();
    // What is pending has an index of its own: the placements of a busy node are not read.
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT s.name, held.digest, held.last_applied_at
         FROM servers s CROSS JOIN LATERAL (
             SELECT COALESCE(bit_xor(p.digest), 0) AS digest, max(p.applied_at) AS last_applied_at
             FROM placements p WHERE p.server_id = s.name) held
         WHERE s.name = ANY($1)
           AND NOT EXISTS (SELECT FROM placements p WHERE p.server_id = s.name AND p.applied_revision < p.wanted_revision)",
        [names.into()],
    );
    let settled = Settled::find_by_statement(statement).all(db).await?;
    let differing = settled.into_iter().filter(|settled| {
        comparable.get(&settled.name).is_some_and(|heartbeat| {
            heartbeat.digest != StateDigest(settled.digest.cast_unsigned())
                && settled.last_applied_at.is_none_or(|at| at < heartbeat.at)
        })
    });
    Ok(differing.map(|settled| settled.name).collect())
}
