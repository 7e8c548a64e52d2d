//! Deletes a webhook, with its deliveries.

use sea_orm::{DbErr, EntityTrait, QuerySelect};
use vpnmanager_entities::webhook;

use super::snapshot::webhook_snapshot;
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

/// Why a webhook was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemoveWebhookError {
    /// There is no such webhook.
    #[error("there is no such webhook")]
    Unknown,
    /// The database failed.
    #[error("deleting the webhook failed")]
    Database(#[from] DbErr),
}

/// Deletes a webhook. What is being sent at this moment arrives.
pub async fn remove_webhook(app: &App, actor: &Actor, id: i64) -> Result<(), RemoveWebhookError> {
    transact(&app.db, |tx| async move {
        let found = webhook::Entity::find_by_id(id).lock_exclusive().one(&*tx).await?;
        let webhook = found.ok_or(RemoveWebhookError::Unknown)?;
        webhook::Entity::delete_by_id(id).exec(&*tx).await?;
        let entry =
            Entry::new(actor, AuditAction::WebhookDeleted, &app.config.server_id).before(webhook_snapshot(&webhook));
        audit::record_one(&tx, entry).await?;
        Ok::<_, RemoveWebhookError>(())
    })
    .await
}
