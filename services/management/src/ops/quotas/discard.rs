//! Discards traffic that a node reported, because it was stolen or broken and claimed what nobody transferred.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use serde_json::json;
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        sessions::history_lock::lock_history,
        transact::transact,
    },
};

/// What was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Discarded {
    /// How many users it was counted to, removed ones too.
    pub users: i64,
    /// Bytes from their clients.
    pub bytes_in: i64,
    /// Bytes to their clients.
    pub bytes_out: i64,
}

/// Why nothing was discarded.
#[derive(Debug, thiserror::Error)]
pub enum DiscardTrafficError {
    /// There is no such node, and none that left has reported anything under this name.
    #[error("there is no such server")]
    UnknownServer,
    /// The database failed.
    #[error("discarding the traffic failed")]
    Database(#[from] DbErr),
}

/// Takes what the node reported for this day (UTC) and later ones out of the traffic of days, for quotas and for whoever asks. It may have left the
/// fleet. Whoever is not over a quota any more has access again soon: the review of quotas is woken. The history of sessions stays, so what
/// was counted of a session is not counted again. A node that is still in the fleet may report more.
///
/// What was forgiven stays forgiven: who was forgiven a false claim has that much of the traffic until that day for nothing.
pub async fn discard_traffic(
    app: &App,
    actor: &Actor,
    node: &NodeId,
    from: NaiveDate,
) -> Result<Discarded, DiscardTrafficError> {
    let discarded = transact(&app.db, |tx| async move {
        // A report that is being recorded is discarded too.
        lock_history(&tx, &BTreeSet::from([node])).await?;
        if !is_known(&tx, node).await? {
            return Err(DiscardTrafficError::UnknownServer);
        }
        let discarded = delete(&tx, node, from).await?;
        if discarded.users > 0 {
            audit::record_one(&tx, entry(actor, node, from, discarded)).await?;
        }
        Ok::<_, DiscardTrafficError>(discarded)
    })
    .await?;
    app.quotas.wake();
    Ok(discarded)
}

fn entry(actor: &Actor, node: &NodeId, from: NaiveDate, discarded: Discarded) -> Entry {
    let Discarded {
        users,
        bytes_in,
        bytes_out,
    } = discarded;
    Entry::new(actor, AuditAction::NodeTrafficDiscarded, node)
        .details(format!("from {from} on, of {users} users"))
        .before(json!({ "from": from, "users": users, "bytes_in": bytes_in, "bytes_out": bytes_out }))
}

#[derive(FromQueryResult)]
struct Known {
    is_known: bool,
}

/// Whether there is such a node, or was one that reported traffic.
async fn is_known(transaction: &DatabaseTransaction, node: &NodeId) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT EXISTS (SELECT FROM servers WHERE name = $1) OR EXISTS (SELECT FROM traffic_days WHERE server_id = $1) AS is_known",
        [node.to_string().into()],
    );
    let found = Known::find_by_statement(statement).one(transaction).await?;
    Ok(found.is_some_and(|found| found.is_known))
}

async fn delete(transaction: &DatabaseTransaction, node: &NodeId, from: NaiveDate) -> Result<Discarded, DbErr> {
    // A sum of what a node claims may be beyond 2^63 - 1.
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH discarded AS (
             DELETE FROM traffic_days WHERE server_id = $1 AND day >= $2 RETURNING user_id, bytes_in, bytes_out)
         SELECT count(DISTINCT user_id) AS users,
             LEAST(COALESCE(SUM(bytes_in), 0), 9223372036854775807)::bigint AS bytes_in,
             LEAST(COALESCE(SUM(bytes_out), 0), 9223372036854775807)::bigint AS bytes_out
         FROM discarded",
        [node.to_string().into(), from.into()],
    );
    let discarded = Discarded::find_by_statement(statement).one(transaction).await?;
    discarded.ok_or_else(|| DbErr::RecordNotFound("what was discarded".to_owned()))
}
