//! `certificate_authorities`: the CA certificates of the fleet.

use sea_orm::entity::prelude::*;

/// One CA.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "certificate_authorities")]
pub struct Model {
    /// SHA-256 of the certificate, lower-case hex.
    #[sea_orm(primary_key, auto_increment = false)]
    pub fingerprint: String,
    /// The certificate, PEM.
    #[sea_orm(column_type = "Text")]
    pub certificate: String,
    /// When it was recorded.
    pub created_at: DateTimeUtc,
    /// What it is for, where another one is about to take its place, or does.
    pub stage: Stage,
}

/// What an authority is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))", rename_all = "snake_case")]
pub enum Stage {
    /// It is to take the place of the present one. Its certificates are accepted, and there are none.
    Next,
    /// It signs the certificates of users, and of nodes where no former one does.
    Present,
    /// It signs the certificates of nodes, because some clients know it alone.
    Former,
    /// It signs nothing. Its certificates are accepted until it is gone.
    Leaving,
}

impl ActiveModelBehavior for ActiveModel {}
