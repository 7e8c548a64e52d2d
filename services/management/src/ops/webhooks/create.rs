//! Makes a webhook.

use sea_orm::{ActiveValue::Set, DbErr, EntityTrait, PaginatorTrait};
use secrecy::SecretString;
use vpnmanager_entities::webhook;

use super::{
    secrets,
    snapshot::webhook_snapshot,
    target::{TargetError, checked},
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, event_subject::EventSubject, webhook_signature::shown},
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

/// The most webhooks. Each reads the trail by itself.
pub const MOST: u64 = 100;

/// A webhook to make.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Where messages are sent.
    pub url: String,
    /// What people should know of it.
    pub description: Option<String>,
    /// Types of events; empty: all.
    pub types: Vec<AuditAction>,
    /// What events are about; empty: anything.
    pub subjects: Vec<EventSubject>,
}

/// Why a webhook was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateWebhookError {
    /// Nothing may be sent there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There are too many.
    #[error("there are {} webhooks, as many as there may be", MOST)]
    TooMany,
    /// It is not known yet how far the trail goes.
    #[error("management has just started, and does not know yet how far the audit trail goes; try again")]
    TooEarly,
    /// The database failed.
    #[error("recording the webhook failed")]
    Database(#[from] DbErr),
}

/// A new webhook, with its secret, which is shown once.
#[derive(Debug)]
pub struct CreatedWebhook {
    /// Its row.
    pub webhook: webhook::Model,
    /// What messages are signed with.
    pub secret: SecretString,
}

/// Makes a webhook. It gets what is recorded from now on.
pub async fn create_webhook(app: &App, actor: &Actor, new: NewWebhook) -> Result<CreatedWebhook, CreateWebhookError> {
    checked(&new.url, &app.config.webhooks)?;
    let position = app.events.settled_soon().await.ok_or(CreateWebhookError::TooEarly)?;
    let secret = secrets::random();
    let (new, sealed) = (&new, &secrets::sealed(&app.pki, &secret));
    let webhook = transact(&app.db, |tx| async move {
        if webhook::Entity::find().count(&*tx).await? >= MOST {
            return Err(CreateWebhookError::TooMany);
        }
        let row = webhook::ActiveModel {
            url: Set(new.url.clone()),
            description: Set(new.description.clone()),
            types: Set(words(&new.types)),
            subjects: Set(words(&new.subjects)),
            secret: Set(sealed.clone()),
            position: Set(position),
            created_by: Set(actor.name.clone()),
            ..Default::default()
        };
        let made = webhook::Entity::insert(row).exec_with_returning(&*tx).await?;
        let entry =
            Entry::new(actor, AuditAction::WebhookCreated, &app.config.server_id).after(webhook_snapshot(&made));
        audit::record_one(&tx, entry).await?;
        Ok::<_, CreateWebhookError>(made)
    })
    .await?;
    Ok(CreatedWebhook {
        webhook,
        secret: shown(&secret),
    })
}

pub(super) fn words(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
