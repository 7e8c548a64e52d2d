//! An event in the API.

use chrono::DateTime;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Value, json};
use vpnmanager_openapi::time::Timestamp;

use super::filters::SubjectText;
use crate::domain::event_subject::EventSubject;

/// An event: one entry of the audit trail. Webhooks send the same.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct Event {
    /// The action of the entry, such as `user_created`; in a try of a webhook `webhook_test`.
    #[oai(rename = "type")]
    kind: String,
    /// When it was recorded, by the clock of the database.
    timestamp: Timestamp,
    /// The entry.
    data: EventData,
}

/// The entry of an event. A webhook that is tried is sent none of it.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct EventData {
    /// Number of the entry. Events come in the order of their ids.
    id: i64,
    /// What it is about; absent where a newer replica of management recorded something that this one does not know.
    subject: Option<SubjectText>,
    /// Who did it: `key:<name>`, `link:<id>` for whoever has that link to a profile, `node:<id>`, `local:<id>` for root of that node, `system`,
    /// `command` for a command of management's program, or `unknown` for somebody without a valid key.
    actor: String,
    /// The user concerned.
    username: Option<String>,
    /// The server concerned, or the management replica that recorded it.
    server_id: String,
    /// An explanation, for people.
    details: Option<String>,
    /// The address that the request came from.
    ip_address: Option<String>,
    /// Id of the request, as in its `x-request-id` header.
    request_id: Option<String>,
    /// When an event of a node happened, by the node's clock, which may be wrong or lie.
    reported_at: Option<Timestamp>,
    /// The state before the change.
    before: Option<Value>,
    /// The state after the change.
    after: Option<Value>,
}

impl Example for Event {
    fn example() -> Self {
        Self {
            kind: "user_created".to_owned(),
            timestamp: DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default().into(),
            data: EventData {
                id: 42,
                subject: Some(SubjectText(EventSubject::Users)),
                actor: "key:admin".to_owned(),
                username: Some("alice".to_owned()),
                server_id: "management-server".to_owned(),
                details: None,
                ip_address: Some("192.0.2.7".to_owned()),
                request_id: Some("5f0c6e1f1f7c4c6c9f0e2b1a7d3c4b5a".to_owned()),
                reported_at: None,
                before: None,
                after: Some(json!({ "username": "alice", "revision": 1, "active": true })),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::{ParseFromJSON as _, ToJSON as _};

    use super::*;
    use crate::ops::events::event::{json_of, tests::entry};

    /// What is sent is written by the operation, which knows nothing of the description.
    #[test]
    fn what_is_sent_is_what_is_described() {
        let sent: Value = serde_json::from_str(&json_of(&entry(7, "user_created"))).expect("JSON");
        let described = Event::parse_from_json(Some(sent.clone()))
            .map_err(|error| error.into_message())
            .expect("an event");
        assert_eq!(described.to_json(), Some(sent));
    }
}
