//! Finds nodes whose digest differs although nothing is pending for them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::{heartbeats::Heartbeat, ids::NodeId, sync::StateDigest};

use crate::domain::drift::{Held, Recorded, drifts};

#[derive(FromQueryResult)]
struct Settled {
    name: NodeId,
    digest: i64,
    last_applied_at: Option<DateTime<Utc>>,
}

/// The nodes among these that drift. Nodes whose drift cannot be determined are left out.
pub async fn find_drift(db: &impl ConnectionTrait, heartbeats: &[&Heartbeat]) -> Result<HashSet<NodeId>, DbErr> {
    let held: HashMap<&NodeId, Held> = heartbeats
        .iter()
        .map(|heartbeat| (&heartbeat.node, held(heartbeat)))
        .collect();
    // A node that is not complete or has local requests cannot be compared: its placements need not be read.
    let names: Vec<String> = held
        .iter()
        .filter(|(_, held)| held.complete && held.queued_intents == 0)
        .map(|(name, _)| name.to_string())
        .collect();
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    // Pending placements have an index of their own, so the other placements of a busy node are not read either.
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
        let recorded = Recorded {
            digest: StateDigest(settled.digest.cast_unsigned()),
            last_applied_at: settled.last_applied_at,
            ..Recorded::default()
        };
        held.get(&settled.name)
            .is_some_and(|held| drifts(*held, recorded) == Some(true))
    });
    Ok(differing.map(|settled| settled.name).collect())
}

fn held(heartbeat: &Heartbeat) -> Held {
    Held {
        digest: heartbeat.digest,
        at: heartbeat.at,
        complete: heartbeat.complete,
        queued_intents: heartbeat.queued_intents,
    }
}
