//! Bus keys of nodes: revoking them, and when credentials are issued for them. Both go by the clock of the database, because the bus compares
//! the two times, and replicas have clocks of their own.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait,
    sea_query::{Expr, OnConflict},
};
use vpnmanager_entities::bus_revocation;
use vpnmanager_nats::{
    ids::NodeId,
    security::{keys::NodePublicKey, node_credentials},
};

use crate::{domain::revoked_keys::ISSUED_AHEAD, ops::database_now::database_now};

/// A key that was revoked before is revoked later than whatever was issued since: that is a second after its revocation, or by the clock of the
/// database, which may have gone back.
const NEVER_EARLIER: &str = "GREATEST(bus_revocations.revoked_at + interval '2 seconds', excluded.revoked_at)";

/// Records that a node's bus key is revoked. It takes effect with the next [`enforce`](crate::bus_access::BusAccess::enforce).
pub async fn revoke_bus_key(
    transaction: &DatabaseTransaction,
    key: &NodePublicKey,
    node: &NodeId,
) -> Result<(), DbErr> {
    let row = bus_revocation::ActiveModel {
        public_key: Set(key.as_str().to_owned()),
        server_id: Set(node.to_string()),
        revoked_at: Set(database_now(transaction).await? + ISSUED_AHEAD),
    };
    bus_revocation::Entity::insert(row)
        .on_conflict(
            OnConflict::column(bus_revocation::Column::PublicKey)
                // A key that was another node's before: who asks is told of the last one.
                .update_column(bus_revocation::Column::ServerId)
                .value(bus_revocation::Column::RevokedAt, Expr::cust(NEVER_EARLIER))
                .to_owned(),
        )
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// The last revocation of the key, whichever node had it then.
pub async fn last_revocation(
    db: &impl ConnectionTrait,
    key: &NodePublicKey,
) -> Result<Option<bus_revocation::Model>, DbErr> {
    bus_revocation::Entity::find_by_id(key.as_str()).one(db).await
}

/// When a credential is issued that is asked for now: after the last revocation of its key, which may be minutes ahead. That must have been read before
/// it was found that a node has the key: a credential that is later than a revocation which came meanwhile would outlive it.
pub async fn time_of_issue(
    db: &impl ConnectionTrait,
    revoked: Option<&bus_revocation::Model>,
) -> Result<DateTime<Utc>, DbErr> {
    let now = database_now(db).await?;
    Ok(node_credentials::time_of_issue(now, revoked.map(|row| row.revoked_at)))
}
