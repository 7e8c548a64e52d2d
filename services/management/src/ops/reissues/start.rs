//! Asks for new credentials for all users of a node.

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use sea_orm::{
    ActiveEnum as _, ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait,
    IntoActiveModel, Statement,
};
use serde_json::json;
use vpnmanager_entities::{
    node_reissue::{self, OldProfiles},
    server,
};
use vpnmanager_nats::ids::NodeId;

use super::{forget_users, now};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        count::count,
        transact::transact,
    },
};

/// Why it was not begun.
#[derive(Debug, thiserror::Error)]
pub enum StartReissueError {
    /// There is no such node, and none that left has made a credential that is valid.
    #[error("there is no such server")]
    UnknownServer,
    /// It goes on already, and does something else with the older profiles.
    #[error("new credentials of all users of the server are being made already")]
    OtherGoesOn(OldProfiles),
    /// It goes on already, and goes by another time, or by none.
    #[error("new credentials of all users of the server are being made already, by another time")]
    OtherTimeGoesOn,
    /// The database failed.
    #[error("recording it failed")]
    Database(#[from] DbErr),
}

/// What counts as lost, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    /// What happens to the profiles that the users have.
    pub old: OldProfiles,
    /// Only what the node made before this time, in microseconds; `None`: all that it has made.
    pub made_before: Option<DateTime<Utc>>,
}

/// Asks for new credentials for all users who have a valid one that the node made: those whose home it is, and those who have got another home
/// since. The node may be lost, disabled, or have left the fleet. Background tasks carry it out. While the same goes on, asking
/// again changes nothing, and gives that one.
pub async fn start_reissue(
    app: &App,
    actor: &Actor,
    node: &NodeId,
    lost: &Lost,
) -> Result<node_reissue::Model, StartReissueError> {
    let job = transact(&app.db, |tx| async move { record(&tx, actor, node, lost).await }).await?;
    app.reissues.wake();
    Ok(job)
}

async fn record(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    node: &NodeId,
    lost: &Lost,
) -> Result<node_reissue::Model, StartReissueError> {
    let old = lost.old;
    let is_new = begin(transaction, actor, node, lost).await?;
    let found = node_reissue::Entity::find_by_id(node.clone()).one(transaction).await?;
    let job = found.ok_or_else(|| DbErr::RecordNotFound(format!("the new credentials of the users of {node}")))?;
    if !is_new {
        if job.old_profiles != old {
            return Err(StartReissueError::OtherGoesOn(job.old_profiles));
        }
        if job.made_before != lost.made_before {
            return Err(StartReissueError::OtherTimeGoesOn);
        }
        return Ok(job);
    }
    let total = note_users(transaction, &job).await?;
    if total == 0
        && server::Entity::find_by_name(node.clone())
            .one(transaction)
            .await?
            .is_none()
    {
        return Err(StartReissueError::UnknownServer);
    }
    let mut row = job.into_active_model();
    row.total = Set(total);
    if total == 0 {
        row.ended_at = Set(Some(now()));
    }
    let job = row.update(transaction).await?;
    let mut after = json!({ "total": total, "old_profiles": old.to_value() });
    if let Some(before) = job.made_before {
        after["made_before"] = json!(before);
    }
    let entry = Entry::new(actor, AuditAction::NodeReissueStarted, node)
        .details(format!(
            "{total} users have profiles that it made, and get new ones (old_profiles: {})",
            old.to_value()
        ))
        .after(after);
    audit::record_one(transaction, entry).await?;
    Ok(job)
}

/// Writes the row of the node; `false`: it goes on already. Of two who ask at once, the later one waits for the other.
async fn begin(transaction: &DatabaseTransaction, actor: &Actor, node: &NodeId, lost: &Lost) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO node_reissues AS r (server_id, upto, old_profiles, actor, ip_address, request_id, made_before)
         VALUES ($1, (SELECT COALESCE(max(id), 0) FROM credentials WHERE server_id = $1 AND revoked_at IS NULL
                          AND ($6::timestamptz IS NULL OR created_at < $6)), $2, $3, $4, $5, $6)
         ON CONFLICT (server_id) DO UPDATE SET upto = EXCLUDED.upto, old_profiles = EXCLUDED.old_profiles, made_before = EXCLUDED.made_before, actor = EXCLUDED.actor,
             ip_address = EXCLUDED.ip_address, request_id = EXCLUDED.request_id, started_at = now(), turn_at = now(), ended_at = NULL,
             stopped = false, total = 0, done = 0, unchanged = 0, failed = 0, failed_users = '[]'
         WHERE r.ended_at IS NOT NULL",
        [
            node.clone().into(),
            lost.old.to_value().into(),
            actor.name.clone().into(),
            actor.address.map(IpNetwork::from).into(),
            actor.request_id.clone().into(),
            lost.made_before.into(),
        ],
    );
    Ok(transaction.execute_raw(statement).await?.rows_affected() > 0)
}

/// Writes a row for each user, and gives how many they are.
async fn note_users(transaction: &DatabaseTransaction, job: &node_reissue::Model) -> Result<i64, DbErr> {
    forget_users(transaction, &job.server_id).await?;
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO node_reissue_users (server_id, user_id)
         SELECT DISTINCT server_id, user_id FROM credentials
         WHERE server_id = $1 AND id <= $2 AND revoked_at IS NULL AND user_id IS NOT NULL",
        [job.server_id.clone().into(), job.upto.into()],
    );
    Ok(count(transaction.execute_raw(statement).await?.rows_affected()))
}
