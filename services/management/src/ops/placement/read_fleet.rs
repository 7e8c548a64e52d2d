//! Reads all nodes, and whether they run OpenVPN.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryOrder, QuerySelect, sea_query::LockType};
use vpnmanager_entities::{health_status, server};
use vpnmanager_nats::{heartbeats::OpenvpnState, ids::NodeId};

use crate::domain::placement::Fleet;

/// Reads the fleet, nodes in the order of their names.
pub async fn read_fleet(db: &impl ConnectionTrait) -> Result<Fleet, DbErr> {
    let servers = server::Entity::find()
        .order_by_asc(server::Column::Name)
        .all(db)
        .await?;
    with_openvpn(db, servers).await
}

/// The same, and keeps the nodes from being deregistered until the transaction ends: a new placement needs the row of its node.
pub async fn read_fleet_locked(db: &impl ConnectionTrait) -> Result<Fleet, DbErr> {
    let servers = server::Entity::find()
        .order_by_asc(server::Column::Name)
        .lock(LockType::KeyShare)
        .all(db)
        .await?;
    with_openvpn(db, servers).await
}

async fn with_openvpn(db: &impl ConnectionTrait, servers: Vec<server::Model>) -> Result<Fleet, DbErr> {
    let openvpn: Vec<(NodeId, OpenvpnState)> = health_status::Entity::find()
        .select_only()
        .columns([health_status::Column::ServerId, health_status::Column::OpenvpnState])
        .into_tuple()
        .all(db)
        .await?;
    Ok(Fleet::new(servers, openvpn.into_iter().collect()))
}
