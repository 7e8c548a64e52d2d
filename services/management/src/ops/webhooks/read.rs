//! Reads webhooks and what became of their messages.

use sea_orm::{ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use vpnmanager_entities::{webhook, webhook_delivery};

/// Reads at most `limit` webhooks, newest first, starting below the row with the id `before`.
pub async fn list_webhooks(
    db: &DatabaseConnection,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<webhook::Model>, DbErr> {
    let mut query = webhook::Entity::find().order_by_desc(webhook::Column::Id).limit(limit);
    if let Some(before) = before {
        query = query.filter(webhook::Column::Id.lt(before));
    }
    query.all(db).await
}

/// The webhook with this id.
pub async fn get_webhook(db: &DatabaseConnection, id: i64) -> Result<Option<webhook::Model>, DbErr> {
    webhook::Entity::find_by_id(id).one(db).await
}

/// Reads at most `limit` messages of a webhook, newest first, starting below the row with the id `before`; `None` if there is no such webhook.
pub async fn list_deliveries(
    db: &DatabaseConnection,
    webhook: i64,
    before: Option<i64>,
    limit: u64,
) -> Result<Option<Vec<webhook_delivery::Model>>, DbErr> {
    if get_webhook(db, webhook).await?.is_none() {
        return Ok(None);
    }
    let mut query = webhook_delivery::Entity::find()
        .filter(webhook_delivery::Column::WebhookId.eq(webhook))
        .order_by_desc(webhook_delivery::Column::Id)
        .limit(limit);
    if let Some(before) = before {
        query = query.filter(webhook_delivery::Column::Id.lt(before));
    }
    query.all(db).await.map(Some)
}
