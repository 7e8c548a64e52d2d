//! Gives a webhook another secret.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DbErr, EntityTrait, IntoActiveModel, QuerySelect};
use secrecy::SecretString;
use vpnmanager_entities::webhook;

use super::{secrets, snapshot::webhook_snapshot};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, webhook_signature::shown},
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

/// So long messages are signed with the former secret too.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a webhook got no other secret.
#[derive(Debug, thiserror::Error)]
pub enum RotateSecretError {
    /// There is no such webhook.
    #[error("there is no such webhook")]
    Unknown,
    /// The database failed.
    #[error("recording the secret failed")]
    Database(#[from] DbErr),
}

/// The new secret, which is shown once.
#[derive(Debug)]
pub struct RotatedSecret {
    /// What messages are signed with from now on.
    pub secret: SecretString,
    /// Until when they are signed with the former one too.
    pub former_until: DateTime<Utc>,
}

/// Gives a webhook another secret. Of a former one that was still good, messages are not signed with it any more.
pub async fn rotate_secret(app: &App, actor: &Actor, id: i64) -> Result<RotatedSecret, RotateSecretError> {
    let secret = secrets::random();
    let sealed = &secrets::sealed(&app.pki, &secret);
    let former_until = (app.clock.now() + OVERLAP).trunc_subsecs(6);
    transact(&app.db, |tx| async move {
        let found = webhook::Entity::find_by_id(id).lock_exclusive().one(&*tx).await?;
        let before = found.ok_or(RotateSecretError::Unknown)?;
        let mut row = before.clone().into_active_model();
        row.secret = Set(sealed.clone());
        row.former_secret = Set(Some(before.secret));
        row.former_until = Set(Some(former_until));
        let after = row.update(&*tx).await?;
        let entry =
            Entry::new(actor, AuditAction::WebhookSecretRotated, &app.config.server_id).after(webhook_snapshot(&after));
        audit::record_one(&tx, entry).await?;
        Ok::<_, RotateSecretError>(())
    })
    .await?;
    Ok(RotatedSecret {
        secret: shown(&secret),
        former_until,
    })
}
