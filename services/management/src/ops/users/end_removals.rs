//! Ends removals: a removed user is deleted when no node holds it any more, and the audit trail keeps a receipt.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement,
};
use serde_json::json;
use vpnmanager_entities::user;
use vpnmanager_nats::username::Username;

use crate::{
    domain::{actor::Actor, audit_action::AuditAction},
    ops::audit::{self, Entry},
};

/// Deletes the users among these that are removed and that no node holds any more. The receipt says when each node removed the
/// user, and what the node had to remark, such as a session that it could not end.
pub async fn end_removals(transaction: &DatabaseTransaction, users: &[i64], recorder: &str) -> Result<(), DbErr> {
    // HAVING is `is_settled` of `domain/acks.rs` for all placements of the user: change both.
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.id, u.username, COALESCE(
                 json_agg(json_strip_nulls(json_build_object(
                     'server_id', p.server_id, 'applied_at', p.applied_at, 'note', p.error)) ORDER BY p.id)
                     FILTER (WHERE p.id IS NOT NULL), '[]') AS nodes
         FROM users u LEFT JOIN placements p ON p.user_id = u.id
         WHERE u.id = ANY($1) AND u.removed_at IS NOT NULL
         GROUP BY u.id HAVING COALESCE(bool_and(p.applied_revision >= p.wanted_revision), true)",
        [users.to_vec().into()],
    );
    let forgotten = Forgotten::find_by_statement(statement).all(transaction).await?;
    if forgotten.is_empty() {
        return Ok(());
    }
    let receipts = forgotten.iter().map(|user| {
        Entry::new(&Actor::system(), AuditAction::UserRemovalCompleted, recorder)
            .about(&user.username)
            .after(json!({ "nodes": user.nodes }))
    });
    audit::record_all(transaction, receipts).await?;
    user::Entity::delete_many()
        .filter(user::Column::Id.eq_any(forgotten.iter().map(|user| user.id)))
        .exec(transaction)
        .await
        .map(drop)
}

/// A removed user that no node holds.
#[derive(FromQueryResult)]
struct Forgotten {
    id: i64,
    username: Username,
    nodes: serde_json::Value,
}
