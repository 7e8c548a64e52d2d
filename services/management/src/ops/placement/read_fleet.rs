//! Reads all nodes, whether they run OpenVPN, and how many of them their pools give each user.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType,
};
use vpnmanager_entities::{health_status, pool, server};
use vpnmanager_nats::{heartbeats::OpenvpnState, ids::NodeId};

use crate::domain::placement::Fleet;

/// Reads the fleet, nodes in the order of their names.
pub async fn read_fleet(db: &impl ConnectionTrait) -> Result<Fleet, DbErr> {
    let servers = server::Entity::find()
        .order_by_asc(server::Column::Name)
        .all(db)
        .await?;
    with_details(db, servers).await
}

/// The same, and keeps the nodes from being deregistered until the transaction ends: a new placement needs the row of its node.
pub async fn read_fleet_locked(db: &impl ConnectionTrait) -> Result<Fleet, DbErr> {
    let servers = server::Entity::find()
        .order_by_asc(server::Column::Name)
        .lock(LockType::KeyShare)
        .all(db)
        .await?;
    with_details(db, servers).await
}

async fn with_details(db: &impl ConnectionTrait, servers: Vec<server::Model>) -> Result<Fleet, DbErr> {
    let openvpn: Vec<(NodeId, OpenvpnState)> = health_status::Entity::find()
        .select_only()
        .columns([health_status::Column::ServerId, health_status::Column::OpenvpnState])
        .into_tuple()
        .all(db)
        .await?;
    let replicas = read_replicas(db).await?;
    Ok(Fleet::new(servers, openvpn.into_iter().collect()).with_replicas(replicas))
}

/// The pools that say how many nodes each of their users gets.
async fn read_replicas(db: &impl ConnectionTrait) -> Result<HashMap<String, usize>, DbErr> {
    let said: Vec<(String, i16)> = pool::Entity::find()
        .select_only()
        .columns([pool::Column::Name, pool::Column::Replicas])
        .filter(pool::Column::Replicas.is_not_null())
        .into_tuple()
        .all(db)
        .await?;
    let said = said.into_iter();
    Ok(said
        .filter_map(|(pool, replicas)| Some((pool, usize::try_from(replicas).ok()?)))
        .collect())
}
