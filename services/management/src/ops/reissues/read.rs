//! Reads how far the new credentials of all users of a node are.

use sea_orm::{DatabaseConnection, EntityTrait};
use vpnmanager_entities::node_reissue;
use vpnmanager_nats::ids::NodeId;

use super::{NodeReissueError, why_none};

/// Reads the one that goes on, or else the last one.
pub async fn read_reissue(db: &DatabaseConnection, node: &NodeId) -> Result<node_reissue::Model, NodeReissueError> {
    match node_reissue::Entity::find_by_id(node.clone()).one(db).await? {
        Some(job) => Ok(job),
        None => Err(why_none(db, node).await),
    }
}
