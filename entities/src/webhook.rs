//! `webhooks`: where events are sent.

use sea_orm::entity::prelude::*;

/// One webhook.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhooks")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Where messages are sent.
    pub url: String,
    /// What people should know of it.
    pub description: Option<String>,
    /// Types of events; empty: all. As texts: a newer replica may know more.
    pub types: Vec<String>,
    /// What events are about; empty: anything.
    pub subjects: Vec<String>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// The secret that messages are signed with, encrypted.
    pub secret: Vec<u8>,
    /// The secret of before, encrypted.
    pub former_secret: Option<Vec<u8>>,
    /// Until when messages are signed with that one too.
    pub former_until: Option<DateTimeUtc>,
    /// The id of the last audit entry that was handed to the deliveries, or does not match.
    pub position: i64,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When an operator changed it last.
    pub changed_at: DateTimeUtc,
    /// Since when events are given up.
    pub failing_since: Option<DateTimeUtc>,
    /// Why management disabled it.
    pub disabled_reason: Option<String>,
    /// Which replica delivers at this moment.
    pub leased_by: Option<String>,
    /// Until when it may.
    pub leased_until: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
