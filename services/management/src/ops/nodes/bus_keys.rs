//! Revokes bus keys of nodes.

use chrono::Utc;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait, sea_query::OnConflict};
use vpnmanager_entities::bus_revocation;
use vpnmanager_nats::{ids::NodeId, security::keys::NodePublicKey};

/// Records that a node's bus key is revoked. It takes effect with the next [`enforce`](crate::bus_access::BusAccess::enforce).
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
                // A key that was another node's before: who asks is told of the last one.
                .update_columns([bus_revocation::Column::ServerId, bus_revocation::Column::RevokedAt])
                .to_owned(),
        )
        .exec_without_returning(transaction)
        .await
        .map(drop)
}
