//! Reads how far a rollout is.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use vpnmanager_entities::{pool, rollout};
use vpnmanager_nats::ids::NodeId;

use super::{RolloutError, RolloutView, nodes_of};

/// Reads the rollout of a pool that goes on, or else the last one.
pub async fn read_rollout(db: &DatabaseConnection, pool: &NodeId) -> Result<RolloutView, RolloutError> {
    let rollout = last_of(db, pool).await?;
    let nodes = nodes_of(db, rollout.id).await?;
    Ok(RolloutView { rollout, nodes })
}

/// The rollout of a pool that goes on, or else the last one.
pub(super) async fn last_of(db: &impl ConnectionTrait, pool: &NodeId) -> Result<rollout::Model, RolloutError> {
    let found = pool::Entity::find_by_name(pool.clone()).one(db).await?;
    let found = found.ok_or(RolloutError::UnknownPool)?;
    last(db, found.id).await?.ok_or(RolloutError::NotAsked)
}

/// The same by the row id of the pool.
pub(super) async fn last(db: &impl ConnectionTrait, pool: i64) -> Result<Option<rollout::Model>, DbErr> {
    rollout::Entity::find()
        .filter(rollout::COLUMN.pool_id.eq(pool))
        .order_by_desc(rollout::Column::Id)
        .one(db)
        .await
}
