//! Gives an API key another secret. The one of before is accepted for a while.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QuerySelect,
};
use vpnmanager_entities::api_key;

use super::{
    bootstrap::FIRST_KEY,
    create_api_key::MadeApiKey,
    list_api_keys::{ApiKeyView, recorded},
    new_secret::NewSecret,
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, api_key_snapshot},
        transact::transact,
    },
};

/// Why a key was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateApiKeyError {
    /// There is no key with this id.
    #[error("there is no such API key")]
    UnknownKey,
    /// It is the key that the configuration names.
    #[error("this key is `API_KEY` of management: change it there, and restart management")]
    OfConfiguration,
    /// It was revoked.
    #[error("the key was revoked: create another one")]
    Revoked,
    /// Its time is over.
    #[error("the key has expired: create another one")]
    Expired,
    /// The database failed.
    #[error("recording the key failed")]
    Database(#[from] DbErr),
}

/// Gives the key another secret. The one of before stays valid for `grace`, and one of before that ends at once.
pub async fn rotate_api_key(
    app: &App,
    actor: &Actor,
    id: i64,
    grace: Duration,
) -> Result<MadeApiKey, RotateApiKeyError> {
    let secret = &NewSecret::draw();
    let about = transact(
        &app.db,
        |tx| async move { record(&tx, app, actor, id, secret, grace).await },
    )
    .await?;
    Ok(MadeApiKey {
        about,
        key: secret.key.clone(),
    })
}

async fn record(
    transaction: &DatabaseTransaction,
    app: &App,
    actor: &Actor,
    id: i64,
    secret: &NewSecret,
    grace: Duration,
) -> Result<ApiKeyView, RotateApiKeyError> {
    let found = api_key::Entity::find_by_id(id)
        .lock_exclusive()
        .one(transaction)
        .await?;
    let before = found.ok_or(RotateApiKeyError::UnknownKey)?;
    let now = Utc::now();
    refuse(&before, now)?;
    let mut row = before.clone().into_active_model();
    row.hash = Set(secret.hash.clone());
    row.prefix = Set(Some(secret.prefix.clone()));
    row.rotated_at = Set(Some(now.trunc_subsecs(6)));
    row.previous_hash = Set(Some(before.hash.clone()));
    row.previous_valid_until = Set(Some((now + grace).trunc_subsecs(6)));
    let after = row.update(transaction).await?;
    let entry = Entry::new(actor, AuditAction::ApiKeyRotated, &app.config.server_id)
        .before(api_key_snapshot(&before))
        .after(api_key_snapshot(&after));
    audit::record_one(transaction, entry).await?;
    Ok(recorded(transaction, id).await?)
}

fn refuse(key: &api_key::Model, now: DateTime<Utc>) -> Result<(), RotateApiKeyError> {
    if key.name == FIRST_KEY {
        return Err(RotateApiKeyError::OfConfiguration);
    }
    if key.revoked_at.is_some() {
        return Err(RotateApiKeyError::Revoked);
    }
    if key.expires_at.is_some_and(|at| at <= now) {
        return Err(RotateApiKeyError::Expired);
    }
    Ok(())
}
