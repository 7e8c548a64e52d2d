//! `bus_streams`: the stream that commands were last published to.

use sea_orm::entity::prelude::*;

/// One stream, as management last saw it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bus_streams")]
pub struct Model {
    /// Its name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// When the bus created it. A different time means that the old stream was lost, with everything in it.
    pub created_at: DateTimeUtc,
    /// It replaced another one, and placements up to this id are marked for publication. `None`: all are.
    pub marked_upto: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
