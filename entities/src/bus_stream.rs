//! `bus_streams`: which store of the bus the publications went to.

use sea_orm::entity::prelude::*;

/// One stream as it was last seen.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bus_streams")]
pub struct Model {
    /// Its name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// When it was created: another moment means another store.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
