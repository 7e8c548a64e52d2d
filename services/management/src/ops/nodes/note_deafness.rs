//! Records when a replica could not hear nodes, and says since when all replicas could.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait, QueryOrder, sea_query::OnConflict};
use vpnmanager_entities::replica;

use crate::app::App;

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

/// Since when every replica has heard, and recorded, all that nodes sent.
pub async fn heard_since(app: &App) -> Result<DateTime<Utc>, DbErr> {
    let newest = replica::Entity::find()
        .order_by_desc(replica::Column::DeafAt)
        .one(&app.db)
        .await?;
    let here = app.hearing.since();
    Ok(newest.map_or(here, |elsewhere| here.max(elsewhere.deaf_at)))
}
