//! A webhook in the API: the bodies of requests and of answers.

use chrono::DateTime;
use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};
use secrecy::ExposeSecret as _;
use vpnmanager_entities::{webhook, webhook_delivery};
use vpnmanager_openapi::time::Timestamp;
use vpnmanager_openapi::{Clearable, text_scalar};

use crate::api::events::filters::SubjectText;
use crate::api::scalars::{ActionText, FreeText};
use crate::domain::audit_action::AuditAction;
use crate::ops::webhooks::change::WebhookChange;
use crate::ops::webhooks::create::{CreatedWebhook, NewWebhook};
use crate::ops::webhooks::rotate_secret::RotatedSecret;

text_scalar! {
    /// Where messages are sent.
    pub(super) struct ReceiverUrl {
        format: "receiver-url",
        pattern: "^https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])(?::[0-9]{1,5})?(?:[/?][\\x21-\\x7e]*)?$",
        length: 10..=2000,
        example: "https://hooks.example.com/vpn",
        check: |_text| Ok(()),
    }
}

/// A webhook to make.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "NewWebhook")]
pub(super) struct NewWebhookBody {
    /// Where messages are sent: https, and a public address, unless the configuration of management allows more.
    url: ReceiverUrl,
    /// What people should know of it.
    description: Option<FreeText>,
    /// Types of events; all when it is empty or left out.
    #[oai(default, validator(max_items = 100))]
    types: Vec<ActionText>,
    /// What events are about; anything when it is empty or left out. An event must fit both lists.
    #[oai(default, validator(max_items = 100))]
    subjects: Vec<SubjectText>,
}

/// What to change; fields that are left out keep their value.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct WebhookChanges {
    /// Where messages are sent.
    url: Option<ReceiverUrl>,
    /// What people should know of it; `null`: nothing.
    description: Clearable<FreeText>,
    /// Types of events, as a whole; all when it is empty.
    #[oai(validator(max_items = 100))]
    types: Option<Vec<ActionText>>,
    /// What events are about, as a whole; anything when it is empty.
    #[oai(validator(max_items = 100))]
    subjects: Option<Vec<SubjectText>>,
    /// Whether anything is sent.
    enabled: Option<bool>,
}

/// A webhook.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct Webhook {
    /// Its id. Webhooks are listed by it, the highest first.
    id: i64,
    /// Where messages are sent.
    url: String,
    /// What people should know of it.
    description: Option<String>,
    /// Types of events; empty: all.
    types: Vec<String>,
    /// What events are about; empty: anything.
    subjects: Vec<String>,
    /// Whether anything is sent.
    enabled: bool,
    /// Why management disabled it.
    disabled_reason: Option<String>,
    /// Since when events are given up after three days; absent when the last one got through, or none was given up.
    failing_since: Option<Timestamp>,
    /// The id of the last event that was handed over for it, or does not fit it.
    position: i64,
    /// Until when messages are signed with the former secret too.
    former_secret_until: Option<Timestamp>,
    /// Who made it: `key:<name>`.
    created_by: String,
    /// When it was made.
    created_at: Timestamp,
    /// When an operator changed it last.
    changed_at: Timestamp,
}

/// A new webhook with its secret, which is shown only once, in this answer.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct WebhookSecret {
    /// The webhook.
    webhook: Webhook,
    /// What messages are signed with: `whsec_` and base64.
    secret: String,
}

/// Another secret of a webhook. It is shown only once, in this answer.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct NewWebhookSecret {
    /// What messages are signed with: `whsec_` and base64.
    secret: String,
    /// Until when they are signed with the former one too.
    former_secret_until: Timestamp,
}

/// A message that was handed over.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct HandedOver {
    /// Its id in the list of deliveries.
    id: i64,
}

/// A message of a webhook, and what became of it.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct Delivery {
    /// Its id. Deliveries are listed by it, the highest first.
    id: i64,
    /// What `webhook-id` of the message has, in each attempt.
    message_id: String,
    /// The id of the event; absent in a try.
    event_id: Option<i64>,
    /// The type of the event; in a try `webhook_test`.
    #[oai(rename = "type")]
    kind: String,
    /// When it was handed over.
    created_at: Timestamp,
    /// How often it was sent.
    attempts: i32,
    /// When it was sent last.
    attempted_at: Option<Timestamp>,
    /// When it is sent again; absent: no more.
    next_attempt_at: Option<Timestamp>,
    /// When the receiver took it; absent: it did not.
    delivered_at: Option<Timestamp>,
    /// The HTTP status of the last answer; absent where there was none.
    status: Option<i16>,
    /// What went wrong the last time, at most 500 characters.
    error: Option<String>,
}

impl NewWebhookBody {
    pub(super) fn into_new_webhook(self) -> NewWebhook {
        NewWebhook {
            url: self.url.into_string(),
            description: self.description.map(FreeText::into_string),
            types: self.types.into_iter().map(|word| word.0).collect(),
            subjects: self.subjects.into_iter().map(|word| word.0).collect(),
        }
    }
}

impl WebhookChanges {
    pub(super) fn into_change(self) -> WebhookChange {
        let description = self.description.said();
        WebhookChange {
            url: self.url.map(ReceiverUrl::into_string),
            description: description.map(|description| description.map(FreeText::into_string)),
            types: self.types.map(|types| types.into_iter().map(|word| word.0).collect()),
            subjects: self
                .subjects
                .map(|subjects| subjects.into_iter().map(|word| word.0).collect()),
            enabled: self.enabled,
        }
    }
}

impl Webhook {
    pub(super) fn of(row: webhook::Model) -> Self {
        Self {
            id: row.id,
            url: row.url,
            description: row.description,
            types: row.types,
            subjects: row.subjects,
            enabled: row.enabled,
            disabled_reason: row.disabled_reason,
            failing_since: row.failing_since.map(Into::into),
            position: row.position,
            former_secret_until: row.former_until.map(Into::into),
            created_by: row.created_by,
            created_at: row.created_at.into(),
            changed_at: row.changed_at.into(),
        }
    }
}

impl WebhookSecret {
    pub(super) fn of(made: CreatedWebhook) -> Self {
        Self {
            webhook: Webhook::of(made.webhook),
            secret: made.secret.expose_secret().to_owned(),
        }
    }
}

impl NewWebhookSecret {
    pub(super) fn of(rotated: RotatedSecret) -> Self {
        Self {
            secret: rotated.secret.expose_secret().to_owned(),
            former_secret_until: rotated.former_until.into(),
        }
    }
}

impl HandedOver {
    pub(super) fn new(id: i64) -> Self {
        Self { id }
    }
}

impl Delivery {
    pub(super) fn of(row: webhook_delivery::Model) -> Self {
        Self {
            id: row.id,
            message_id: row.message_id(),
            event_id: row.event_id,
            kind: row.kind,
            created_at: row.created_at.into(),
            attempts: row.attempts,
            attempted_at: row.attempted_at.map(Into::into),
            next_attempt_at: row.next_attempt_at.map(Into::into),
            delivered_at: row.delivered_at.map(Into::into),
            status: row.status,
            error: row.error,
        }
    }
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().into()
}

impl Example for NewWebhookBody {
    fn example() -> Self {
        Self {
            url: "https://hooks.example.com/vpn"
                .parse()
                .expect("the example of the type"),
            description: "chat of the night shift".parse().ok(),
            types: vec![ActionText(AuditAction::NodeStateChanged)],
            subjects: Vec::new(),
        }
    }
}

impl Example for WebhookChanges {
    fn example() -> Self {
        Self {
            url: None,
            description: Clearable(MaybeUndefined::Undefined),
            types: Some(vec![
                ActionText(AuditAction::NodeStateChanged),
                ActionText(AuditAction::OpenvpnDown),
            ]),
            subjects: None,
            enabled: Some(true),
        }
    }
}

impl Example for Webhook {
    fn example() -> Self {
        Self {
            id: 7,
            url: "https://hooks.example.com/vpn".to_owned(),
            description: Some("chat of the night shift".to_owned()),
            types: vec!["node_state_changed".to_owned()],
            subjects: Vec::new(),
            enabled: true,
            disabled_reason: None,
            failing_since: None,
            position: 4711,
            former_secret_until: None,
            created_by: "key:admin".to_owned(),
            created_at: at(1_795_000_000),
            changed_at: at(1_795_000_000),
        }
    }
}

impl Example for WebhookSecret {
    fn example() -> Self {
        Self {
            webhook: Webhook::example(),
            secret: SECRET.to_owned(),
        }
    }
}

impl Example for NewWebhookSecret {
    fn example() -> Self {
        Self {
            secret: SECRET.to_owned(),
            former_secret_until: at(1_795_086_400),
        }
    }
}

impl Example for HandedOver {
    fn example() -> Self {
        Self { id: 42 }
    }
}

impl Example for Delivery {
    fn example() -> Self {
        Self {
            id: 42,
            message_id: "msg_42".to_owned(),
            event_id: Some(4711),
            kind: "node_state_changed".to_owned(),
            created_at: at(1_795_000_000),
            attempts: 2,
            attempted_at: Some(at(1_795_000_006)),
            next_attempt_at: Some(at(1_795_000_016)),
            delivered_at: None,
            status: Some(500),
            error: Some("the receiver answered 500 Internal Server Error".to_owned()),
        }
    }
}
