//! Revokes a join token that no node has used.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QuerySelect, Statement};
use vpnmanager_entities::join_token;
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, join_token_snapshot},
        transact::transact,
    },
};

/// Why a token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeJoinTokenError {
    /// There is no token with this id.
    #[error("there is no such join token")]
    UnknownToken,
    /// A node enrolled with it: it must be deregistered, if it should not be there.
    #[error("server {node} enrolled with the join token already")]
    Used {
        /// The node.
        node: NodeId,
    },
    /// The database failed.
    #[error("revoking the join token failed")]
    Database(#[from] DbErr),
}

/// Makes the token unknown to every later request to enrol. A token whose time is over keeps its end, and that is no error: nothing ends, so
/// nothing is recorded.
///
/// An enrolment locks the row of its token too. So of the two the later one sees what the earlier one did.
pub async fn revoke_join_token(app: &App, actor: &Actor, id: i64) -> Result<(), RevokeJoinTokenError> {
    transact(&app.db, |tx| async move { record(&tx, app, actor, id).await }).await
}

async fn record(
    transaction: &DatabaseTransaction,
    app: &App,
    actor: &Actor,
    id: i64,
) -> Result<(), RevokeJoinTokenError> {
    let found = join_token::Entity::find_by_id(id)
        .lock_exclusive()
        .one(transaction)
        .await?;
    let before = found.ok_or(RevokeJoinTokenError::UnknownToken)?;
    if let Some(node) = &before.used_by {
        return Err(RevokeJoinTokenError::Used { node: node.clone() });
    }
    let Some(Ended {
        expires_at,
        was_open: true,
    }) = end(transaction, id).await?
    else {
        return Ok(());
    };
    let after = join_token::Model {
        expires_at,
        ..before.clone()
    };
    let entry = Entry::new(actor, AuditAction::JoinTokenRevoked, &app.config.server_id)
        .before(join_token_snapshot(&before))
        .after(join_token_snapshot(&after));
    audit::record_one(transaction, entry).await?;
    Ok(())
}

/// What becomes of the unused token `t`, in SQL. The end of its time alone would not do: each replica judges that by its own clock, and may have
/// looked at the clock before it got the lock. What takes the place of the hash is no SHA-256, so no token has it.
pub(in crate::ops) const CLOSED: &str =
    "hash = convert_to('revoked ' || t.id, 'UTF8'), expires_at = LEAST(t.expires_at, now())";

#[derive(FromQueryResult)]
struct Ended {
    expires_at: DateTime<Utc>,
    /// Whether its time was not over.
    was_open: bool,
}

/// Forgets the hash of an unused token; `None`: it was used.
async fn end(transaction: &DatabaseTransaction, id: i64) -> Result<Option<Ended>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "WITH unused AS MATERIALIZED (
                 SELECT id, expires_at > now() AS was_open FROM join_tokens WHERE id = $1 AND used_at IS NULL)
             UPDATE join_tokens t SET {CLOSED} FROM unused WHERE t.id = unused.id
             RETURNING t.expires_at, unused.was_open"
        ),
        [id.into()],
    );
    Ended::find_by_statement(statement).one(transaction).await
}
