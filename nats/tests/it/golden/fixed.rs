//! The same ids and times in every file.

use chrono::{DateTime, Utc};
use uuid::{Uuid, uuid};
use vpnmanager_nats::{
    ids::{AgentInstance, CommonName, NodeId, UserKey},
    username::Username,
};

const USER: Uuid = uuid!("01910000-0000-7000-8000-00000000a11c");
const INSTANCE: Uuid = uuid!("01910000-0000-7000-8000-0000000000f1");

pub(super) fn node() -> NodeId {
    "endnode-1".parse().unwrap()
}

pub(super) fn user_key() -> UserKey {
    UserKey(USER)
}

pub(super) fn username() -> Username {
    "alice@example.com".parse().unwrap()
}

pub(super) fn instance() -> AgentInstance {
    AgentInstance(INSTANCE)
}

pub(super) fn credential() -> CommonName {
    "alice@example.com.abcdefghijklmn23".parse().unwrap()
}

pub(super) fn older_credential() -> CommonName {
    "alice@example.com.zyxwvutsrqponm76".parse().unwrap()
}

pub(super) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(super) fn moment() -> DateTime<Utc> {
    at("2027-03-01T08:30:00.123456Z")
}

/// Of the W3C's own example.
pub(super) fn traceparent() -> Option<String> {
    Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned())
}
