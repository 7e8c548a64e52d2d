//! Records when a replica could not hear nodes, and says since when all replicas could.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait, QueryOrder, sea_query::OnConflict};
use vpnmanager_entities::replica;

/// Records that this replica missed, until now, what nodes sent, or could not record it.
pub async fn note_deafness(db: &impl ConnectionTrait, replica: &str) -> Result<(), DbErr> {
    let row = replica::ActiveModel {
        server_id: Set(replica.to_owned()),
        deaf_at: Set(Utc::now().trunc_subsecs(6)),
    };
    replica::Entity::insert(row)
        .on_conflict(
            OnConflict::column(replica::Column::ServerId)
                .update_column(replica::Column::DeafAt)
                .to_owned(),
        )
        .exec_without_returning(db)
        .await
        .map(drop)
}

/// When a replica last could not hear; `None` if none ever recorded that.
pub async fn last_deaf(db: &impl ConnectionTrait) -> Result<Option<DateTime<Utc>>, DbErr> {
    let newest = replica::Entity::find()
        .order_by_desc(replica::Column::DeafAt)
        .one(db)
        .await?;
    Ok(newest.map(|replica| replica.deaf_at))
}
