//! Bus keys of nodes that may connect no more.

use chrono::Utc;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait, sea_query::OnConflict};
use vpnmanager_entities::bus_revocation;
use vpnmanager_nats::{ids::NodeId, security::keys::NodePublicKey};

/// Lists a node's bus key among those that may connect no more. The bus hears of it when its access is enforced.
pub async fn revoke_bus_key(
    transaction: &DatabaseTransaction,
    key: &NodePublicKey,
    node: &NodeId,
) -> Result<(), DbErr> {
    let row = bus_revocation::ActiveModel {
        public_key: Set(key.as_str().to_owned()),
        server_id: Set(node.to_string()),
        revoked_at: Set(Utc::now()),
    };
    bus_revocation::Entity::insert(row)
        .on_conflict(
            OnConflict::column(bus_revocation::Column::PublicKey)
                .update_column(bus_revocation::Column::RevokedAt)
                .to_owned(),
        )
        .exec_without_returning(transaction)
        .await
        .map(drop)
}
