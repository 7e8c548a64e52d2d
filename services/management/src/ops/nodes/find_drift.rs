//! Finds nodes whose digest differs although nothing is pending for them.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DbErr};
use vpnmanager_nats::{heartbeats::Heartbeat, ids::NodeId};

use crate::{
    domain::drift::{Held, drifts},
    ops::nodes::read::progress_of,
};

/// The nodes among these that drift. Nodes whose drift cannot be determined are left out.
pub async fn find_drift(db: &impl ConnectionTrait, heartbeats: &[&Heartbeat]) -> Result<HashSet<NodeId>, DbErr> {
    let names: Vec<NodeId> = heartbeats.iter().map(|heartbeat| heartbeat.node.clone()).collect();
    let progress = progress_of(db, &names).await?;
    let differing = heartbeats.iter().filter(|heartbeat| {
        let recorded = progress.get(&heartbeat.node).map(|progress| progress.recorded());
        drifts(held(heartbeat), recorded.unwrap_or_default()) == Some(true)
    });
    Ok(differing.map(|heartbeat| heartbeat.node.clone()).collect())
}

fn held(heartbeat: &Heartbeat) -> Held {
    Held {
        digest: heartbeat.digest,
        at: heartbeat.at,
        complete: heartbeat.complete,
        queued_intents: heartbeat.queued_intents,
    }
}
