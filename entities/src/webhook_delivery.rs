//! `webhook_deliveries`: the messages to webhooks, and what became of each.

use sea_orm::entity::prelude::*;

/// One message. It goes with its webhook.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_deliveries")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The webhook that it is for.
    pub webhook_id: i64,
    /// The id of the audit entry; `None`: a try.
    pub event_id: Option<i64>,
    /// The type of the event.
    pub kind: String,
    /// When it was handed over.
    pub created_at: DateTimeUtc,
    /// How often it was sent.
    pub attempts: i32,
    /// When it was sent last.
    pub attempted_at: Option<DateTimeUtc>,
    /// When it is sent again; `None`: no more.
    pub next_attempt_at: Option<DateTimeUtc>,
    /// When the receiver took it.
    pub delivered_at: Option<DateTimeUtc>,
    /// The HTTP status of the last answer.
    pub status: Option<i16>,
    /// What went wrong the last time.
    pub error: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The id of the message, the same in each attempt: whoever receives one twice knows it by that.
    #[must_use]
    pub fn message_id(&self) -> String {
        format!("msg_{}", self.id)
    }
}
