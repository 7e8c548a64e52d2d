//! Reads the authorities of the fleet: a handful of rows, read for each use, so that all replicas go by the same at each moment.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _};
use vpnmanager_entities::certificate_authority;

use crate::domain::certificates::authorities::Authorities;

/// The authorities that are trusted.
pub(in crate::ops) async fn authorities(db: &impl ConnectionTrait) -> Result<Authorities, DbErr> {
    Ok(Authorities::new(certificate_authority::Entity::find().all(db).await?))
}

/// Their certificates, PEM.
pub async fn trusted_bundle(db: &impl ConnectionTrait) -> Result<String, DbErr> {
    Ok(authorities(db).await?.bundle())
}
