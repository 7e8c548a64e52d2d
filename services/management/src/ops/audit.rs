//! Audit rows, written in the transaction of the change that they record.

use chrono::Utc;
use ipnetwork::IpNetwork;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait};
use serde_json::{Value, json};
use vpnmanager_entities::{audit_log, user};

use crate::domain::actor::Actor;

/// What the audit trail keeps of one change.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Who asked.
    pub actor: &'a Actor,
    /// What was done, past tense: `user_created`.
    pub action: &'static str,
    /// The user concerned.
    pub username: Option<String>,
    /// The node concerned, or the management replica that recorded it.
    pub server_id: String,
    /// In words.
    pub details: Option<String>,
    /// The state before.
    pub before: Option<Value>,
    /// The state after.
    pub after: Option<Value>,
}

impl Entry<'_> {
    /// The row to insert.
    pub fn into_row(self) -> audit_log::ActiveModel {
        audit_log::ActiveModel {
            timestamp: Set(Utc::now()),
            action: Set(self.action.to_owned()),
            username: Set(self.username),
            details: Set(self.details),
            ip_address: Set(self.actor.address.map(IpNetwork::from)),
            server_id: Set(self.server_id),
            actor: Set(self.actor.name.clone()),
            request_id: Set(self.actor.request_id.clone()),
            before: Set(self.before),
            after: Set(self.after),
            ..Default::default()
        }
    }
}

/// Writes one row.
///
/// # Errors
/// When the database does not take it.
pub async fn record(transaction: &DatabaseTransaction, entry: Entry<'_>) -> Result<(), DbErr> {
    audit_log::Entity::insert(entry.into_row())
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// The state of a user as `before` and `after` show it.
pub fn snapshot(user: &user::Model) -> Value {
    json!({
        "username": user.username,
        "key": user.key,
        "revision": user.revision,
        "active": user.active,
        "expires_at": user.expires_at,
        "server_id": user.server_id,
    })
}
