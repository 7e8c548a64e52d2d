//! One certificate of an old server, locked so that it can be changed.

use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect};
use vpnmanager_entities::old_certificate;
use vpnmanager_nats::ids::{CommonName, NodeId};

use super::OldCertificateError;

/// Which certificate of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The node that accepts it.
    pub node: NodeId,
    /// Its common name.
    pub common_name: CommonName,
}

/// Reads the certificate of a user whose row is locked, and locks it.
pub(super) async fn locked(
    transaction: &DatabaseTransaction,
    user_id: i64,
    named: &Named,
) -> Result<old_certificate::Model, OldCertificateError> {
    let found = old_certificate::Entity::find()
        .filter(old_certificate::Column::UserId.eq(user_id))
        .filter(old_certificate::Column::ServerId.eq(named.node.clone()))
        .filter(old_certificate::Column::CommonName.eq(named.common_name.clone()))
        .filter(old_certificate::COLUMN.revoked_at.is_null())
        .lock_exclusive()
        .one(transaction)
        .await?;
    found.ok_or(OldCertificateError::UnknownCertificate)
}
