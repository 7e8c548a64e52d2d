//! Sends a message to a webhook that tells of nothing, to see whether it arrives.

use sea_orm::{ActiveValue::Set, DbErr, EntityTrait, QuerySelect};
use vpnmanager_entities::{webhook, webhook_delivery};

use crate::{
    app::App,
    ops::{events::event::TEST, transact::transact},
};

/// Why nothing is sent.
#[derive(Debug, thiserror::Error)]
pub enum TryOutError {
    /// There is no such webhook.
    #[error("there is no such webhook")]
    Unknown,
    /// It is disabled.
    #[error("the webhook is disabled: enable it first")]
    Disabled,
    /// The database failed.
    #[error("recording the message failed")]
    Database(#[from] DbErr),
}

/// Hands a message over, which is sent once and at once, and gives its id among the deliveries.
pub async fn try_webhook(app: &App, id: i64) -> Result<i64, TryOutError> {
    let delivery = transact(&app.db, |tx| async move {
        // Nobody deletes it meanwhile.
        let found = webhook::Entity::find_by_id(id).lock_shared().one(&*tx).await?;
        if !found.ok_or(TryOutError::Unknown)?.enabled {
            return Err(TryOutError::Disabled);
        }
        let row = webhook_delivery::ActiveModel {
            webhook_id: Set(id),
            kind: Set(TEST.to_owned()),
            ..Default::default()
        };
        let made = webhook_delivery::Entity::insert(row).exec_with_returning(&*tx).await?;
        Ok::<_, TryOutError>(made.id)
    })
    .await?;
    app.webhooks.wake();
    Ok(delivery)
}
