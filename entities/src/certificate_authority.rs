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
}

impl ActiveModelBehavior for ActiveModel {}
