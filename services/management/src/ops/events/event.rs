//! An entry of the audit trail as it is told to others.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use vpnmanager_entities::audit_log;
use vpnmanager_openapi::time::Timestamp;

use crate::domain::{audit_action::AuditAction, event_subject::EventSubject, shown};

/// What the entry of an action is about; `None` for an action that this release does not know, of a newer replica.
fn subject_of(action: &str) -> Option<EventSubject> {
    action.parse::<AuditAction>().ok().map(EventSubject::of)
}

/// An event, ready to be sent. All listeners share it.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// The id of the audit entry.
    pub id: i64,
    /// The action.
    pub kind: String,
    /// The user concerned.
    pub username: Option<String>,
    /// The node concerned, or the replica that recorded it.
    pub server_id: String,
    /// As a message of a stream: WHATWG HTML standard, section "Server-sent events".
    pub frame: Bytes,
}

/// The shape of an event, in streams and webhooks alike: the payload that the Standard Webhooks specification recommends.
#[derive(Debug, Serialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'static str>,
    actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    server_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
}

/// The JSON of an entry's event, on one line.
pub fn json_of(row: &audit_log::Model) -> String {
    let state = shown::state_by(&row.actor);
    json!(Told {
        kind: &row.action,
        timestamp: row.timestamp.into(),
        data: Data {
            id: row.id,
            subject: subject_of(&row.action).map(EventSubject::as_str),
            actor: &row.actor,
            username: row.username.as_deref(),
            server_id: &row.server_id,
            details: row.details.clone().map(shown::text),
            ip_address: row.ip_address.map(|address| address.ip().to_string()),
            request_id: row.request_id.as_deref(),
            reported_at: row.reported_at.map(Into::into),
            before: row.before.clone().map(state),
            after: row.after.clone().map(state),
        },
    })
    .to_string()
}

/// The JSON of an event that an operator asked for to try a webhook. It is no entry of the trail.
pub fn json_of_test(at: DateTime<Utc>) -> String {
    json!({ "type": TEST, "timestamp": Timestamp::from(at), "data": {} }).to_string()
}

/// The type of such an event.
pub const TEST: &str = "webhook_test";

impl Event {
    /// The event of an entry.
    pub fn of(row: &audit_log::Model) -> Self {
        // The lines of a message end at line breaks, and nothing checks what the trail holds.
        let kind: String = row.action.chars().filter(|letter| !letter.is_control()).collect();
        let frame = format!("id: {}\nevent: {kind}\ndata: {}\n\n", row.id, json_of(row));
        Self {
            id: row.id,
            kind,
            username: row.username.clone(),
            server_id: row.server_id.clone(),
            frame: frame.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An entry about alice.
    pub(crate) fn entry(id: i64, action: &str) -> audit_log::Model {
        audit_log::Model {
            id,
            timestamp: DateTime::from_timestamp(1_795_000_000, 0).expect("a time"),
            action: action.to_owned(),
            username: Some("alice".to_owned()),
            details: Some("two\nlines".to_owned()),
            ip_address: None,
            server_id: "node-1".to_owned(),
            actor: "key:admin".to_owned(),
            request_id: None,
            before: None,
            after: Some(json!({ "revision": 1 })),
            event_id: None,
            reported_at: None,
        }
    }

    #[test]
    fn an_event_is_one_message_with_its_id_its_type_and_one_line_of_data() {
        let event = Event::of(&entry(7, "user_created"));
        let text = String::from_utf8(event.frame.to_vec()).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[1], lines[3]), ("id: 7", "event: user_created", ""));
        let told: Value = serde_json::from_str(lines[2].strip_prefix("data: ").expect("data")).expect("JSON");
        assert_eq!(told["type"], "user_created");
        assert_eq!(told["data"]["subject"], "users");
        assert_eq!(told["data"]["details"], "two lines");
        assert!(text.ends_with("\n\n") && lines.len() == 4, "{text:?}");
    }

    #[test]
    fn no_action_makes_another_line() {
        let event = Event::of(&entry(7, "user_created\ndata: forged"));
        let text = String::from_utf8(event.frame.to_vec()).expect("text");
        assert_eq!(
            text.lines().filter(|line| line.starts_with("data:")).count(),
            1,
            "{text}"
        );
    }
}
