//! Revokes an API key.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, DatabaseTransaction, DbErr, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use vpnmanager_entities::api_key::{self, Role};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, api_key_snapshot},
        transact::transact,
    },
};

/// Why a key was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeApiKeyError {
    /// There is no key with this id.
    #[error("there is no such API key")]
    UnknownKey,
    /// The request came with it.
    #[error("this is the key of the request itself: revoke it with another admin key")]
    Own,
    /// Nobody could make a key any more.
    #[error("this is the last admin key that is valid: create another one first")]
    LastAdmin,
    /// The database failed.
    #[error("revoking the key failed")]
    Database(#[from] DbErr),
}

/// Makes the key unknown to every later request, and that of before its rotation with it. A key that is revoked already stays so, and nothing is
/// recorded.
///
/// Other replicas know a key without looking for half a second, so it is dead everywhere within a second.
pub async fn revoke_api_key(app: &App, actor: &Actor, id: i64) -> Result<(), RevokeApiKeyError> {
    transact(&app.db, |tx| async move { record(&tx, app, actor, id).await }).await
}

async fn record(transaction: &DatabaseTransaction, app: &App, actor: &Actor, id: i64) -> Result<(), RevokeApiKeyError> {
    // All admin keys, so that of two who revoke each other's key the second one finds the first one's revoked.
    let locked = api_key::Entity::find()
        .filter(
            Condition::any()
                .add(api_key::Column::Id.eq(id))
                .add(api_key::Column::Role.eq(Role::Admin)),
        )
        .order_by_asc(api_key::Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let before = locked.iter().find(|key| key.id == id);
    let before = before.ok_or(RevokeApiKeyError::UnknownKey)?;
    if before.revoked_at.is_some() {
        return Ok(());
    }
    let now = Utc::now();
    if actor.name == Actor::key(&before.name, None, None).name {
        return Err(RevokeApiKeyError::Own);
    }
    let opens_all = |key: &api_key::Model| key.role == Role::Admin && is_valid(key, now);
    if opens_all(before) && !locked.iter().any(|key| key.id != id && opens_all(key)) {
        return Err(RevokeApiKeyError::LastAdmin);
    }
    let mut row = before.clone().into_active_model();
    row.hash = Set(format!("revoked {id}").into_bytes());
    row.revoked_at = Set(Some(now.trunc_subsecs(6)));
    row.previous_hash = Set(Some(before.hash.clone()));
    row.previous_valid_until = Set(None);
    let after = row.update(transaction).await?;
    let entry = Entry::new(actor, AuditAction::ApiKeyRevoked, &app.config.server_id)
        .before(api_key_snapshot(before))
        .after(api_key_snapshot(&after));
    Ok(audit::record_one(transaction, entry).await?)
}

fn is_valid(key: &api_key::Model, now: DateTime<Utc>) -> bool {
    key.revoked_at.is_none() && key.expires_at.is_none_or(|at| at > now)
}
