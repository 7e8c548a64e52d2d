//! Reads the nodes, at a cost that does not depend on the number of users.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, EntityTrait};
use vpnmanager_entities::{health_status, server};
use vpnmanager_nats::ids::NodeId;

use crate::{
    metrics::fleet::{HeardSample, NodeSample},
    ops::nodes::read::progress_of,
};

/// All nodes that are not deregistered.
pub async fn read_nodes(db: &impl ConnectionTrait) -> Result<Vec<NodeSample>, DbErr> {
    let mut servers = server::Entity::find().all(db).await?;
    servers.retain(|server| !server.is_deregistered());
    let names: Vec<NodeId> = servers.iter().map(|server| server.name.clone()).collect();
    let mut progress = progress_of(db, &names).await?;
    let health = health_status::Entity::find().all(db).await?;
    let health: HashMap<NodeId, HeardSample> = health.into_iter().map(heard).collect();
    let samples = servers.into_iter().map(|server| {
        let progress = progress.remove(&server.name).unwrap_or_default();
        NodeSample {
            heard: health.get(&server.name).copied(),
            name: server.name,
            pool: server.pool,
            state: server.state,
            last_seen: server.last_seen,
            pending: progress.pending,
            oldest_pending_at: progress.oldest_pending_at,
        }
    });
    Ok(samples.collect())
}

fn heard(row: health_status::Model) -> (NodeId, HeardSample) {
    let sample = HeardSample {
        sessions: row.sessions,
        capacity: row.capacity,
        users: row.users,
        bytes_in: row.bytes_in,
        bytes_out: row.bytes_out,
    };
    (row.server_id, sample)
}
