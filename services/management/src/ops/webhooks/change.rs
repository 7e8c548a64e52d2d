//! Changes a webhook: where events are sent, which ones, and whether.

use chrono::SubsecRound;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseConnection, DbErr, EntityTrait, FromQueryResult, IntoActiveModel,
    QuerySelect, Statement,
};
use vpnmanager_entities::webhook;

use super::{
    create::words,
    snapshot::webhook_snapshot,
    target::{TargetError, checked},
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, event_subject::EventSubject},
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

/// What to change; a field that is `None` keeps its value.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    /// Where messages are sent.
    pub url: Option<String>,
    /// What people should know of it; `Some(None)`: nothing.
    pub description: Option<Option<String>>,
    /// Types of events; empty: all.
    pub types: Option<Vec<AuditAction>>,
    /// What events are about; empty: anything.
    pub subjects: Option<Vec<EventSubject>>,
    /// Whether anything is sent.
    pub enabled: Option<bool>,
}

/// Why a webhook was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeWebhookError {
    /// There is no such webhook.
    #[error("there is no such webhook")]
    Unknown,
    /// Nothing may be sent there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It is not known yet how far the trail goes.
    #[error("management has just started, and does not know yet how far the audit trail goes; try again")]
    TooEarly,
    /// The database failed.
    #[error("recording the change failed")]
    Database(#[from] DbErr),
}

/// Changes a webhook. One that is enabled again gets what is recorded from then on, and what was waiting when it was disabled. If all values are the
/// same already, nothing is recorded.
pub async fn change_webhook(
    app: &App,
    actor: &Actor,
    id: i64,
    change: WebhookChange,
) -> Result<webhook::Model, ChangeWebhookError> {
    if let Some(url) = &change.url {
        checked(url, &app.config.webhooks)?;
    }
    // What was recorded while it was disabled is not sent.
    let newest = if change.enabled == Some(true) {
        newest(&app.db).await?
    } else {
        0
    };
    let settled = app
        .events
        .settled_beyond(newest)
        .await
        .ok_or(ChangeWebhookError::TooEarly)?;
    let change = &change;
    let changed = transact(&app.db, |tx| async move {
        let before = webhook::Entity::find_by_id(id).lock_exclusive().one(&*tx).await?;
        let before = before.ok_or(ChangeWebhookError::Unknown)?;
        let mut after = changed(&before, change);
        if after == before {
            return Ok(before);
        }
        if after.enabled && !before.enabled {
            after.position = after.position.max(settled);
            after.disabled_reason = None;
            after.failing_since = None;
        }
        after.changed_at = app.clock.now().trunc_subsecs(6);
        let mut row = before.clone().into_active_model();
        row.url = Set(after.url);
        row.description = Set(after.description);
        row.types = Set(after.types);
        row.subjects = Set(after.subjects);
        row.enabled = Set(after.enabled);
        row.position = Set(after.position);
        row.disabled_reason = Set(after.disabled_reason);
        row.failing_since = Set(after.failing_since);
        row.changed_at = Set(after.changed_at);
        let after = row.update(&*tx).await?;
        let entry = Entry::new(actor, AuditAction::WebhookChanged, &app.config.server_id)
            .before(webhook_snapshot(&before))
            .after(webhook_snapshot(&after));
        audit::record_one(&tx, entry).await?;
        Ok::<_, ChangeWebhookError>(after)
    })
    .await?;
    app.webhooks.wake();
    Ok(changed)
}

/// The webhook with the values that are asked for.
fn changed(before: &webhook::Model, change: &WebhookChange) -> webhook::Model {
    let mut after = before.clone();
    if let Some(url) = &change.url {
        after.url.clone_from(url);
    }
    if let Some(description) = &change.description {
        after.description.clone_from(description);
    }
    if let Some(types) = &change.types {
        after.types = words(types);
    }
    if let Some(subjects) = &change.subjects {
        after.subjects = words(subjects);
    }
    after.enabled = change.enabled.unwrap_or(before.enabled);
    after
}

#[derive(FromQueryResult)]
struct Newest {
    id: i64,
}

/// The newest entry of the trail that is recorded.
async fn newest(db: &DatabaseConnection) -> Result<i64, DbErr> {
    let sql = "SELECT COALESCE(max(id), 0) AS id FROM audit_log";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let newest = Newest::find_by_statement(statement).one(db).await?;
    Ok(newest.map_or(0, |newest| newest.id))
}
