//! The messages of a node, as the thief writes them. The shapes are those of `nats/golden`.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::attack::{
    flood::EACH,
    scene::{STOLEN, Scene},
};

/// Nearly the largest payload that a node's credential allows, 64 KiB.
pub(in crate::attack) const LARGEST: usize = 65_000;
/// A long text, of which several fit into a message.
pub(in crate::attack) const LONG: usize = 60_000;

/// A text that makes nearly the largest report that the bus takes, 49 KiB with its headers.
pub(in crate::attack) const REPORT: usize = 48_000;

/// A subject and a payload.
pub(in crate::attack) type Message = (String, Bytes);

/// `vpn.<kind>.<the stolen node>`.
pub(in crate::attack) fn subject(kind: &str) -> String {
    format!("vpn.{kind}.{STOLEN}")
}

/// A heartbeat of a run of the agent.
pub(in crate::attack) fn heartbeat(instance: &str) -> Value {
    json!({
        "v": 1, "type": "heartbeat", "node": STOLEN, "instance": instance, "at": now(), "agent_version": "0.1.0",
        "uptime_seconds": 1, "users": 0, "digest": "0000000000000000", "last_sequence": 0, "complete": true,
        "queued_intents": 0, "draining": false,
        "openvpn": { "state": "absent", "sessions": 0, "capacity": 1000, "bytes_in": 0, "bytes_out": 0 },
    })
}

/// A handshake of the stolen node's own agent.
pub(in crate::attack) fn sync(scene: &Scene) -> Value {
    json!({
        "v": 1, "type": "sync", "node": STOLEN, "instance": scene.instance, "last_sequence": 1, "users": 1,
        "digest": "0123456789abcdef", "complete": true, "queued_intents": 0, "unsettled": 0, "at": now(),
    })
}

/// An ack, and its subject. `outcome` has the fields that differ.
pub(in crate::attack) fn ack(scene: &Scene, user: &str, revision: i64, outcome: Value) -> Message {
    let mut body = json!({
        "v": 1, "type": "ack", "node": STOLEN, "instance": scene.instance, "user_key": user, "revision": revision,
        "applied_at": now(),
    });
    merge(&mut body, outcome);
    (format!("vpn.ack.{STOLEN}.{user}"), payload(&body))
}

/// An event of a kind, and its subject. `kind` has the fields that differ.
pub(in crate::attack) fn event(scene: &Scene, kind: &str, fields: Value) -> Message {
    let mut body = json!({
        "v": 1, "id": EACH, "node": STOLEN, "instance": scene.instance, "at": now(), "type": kind,
    });
    merge(&mut body, fields);
    (format!("vpn.event.{STOLEN}.{kind}"), payload(&body))
}

/// A request of an operator at the stolen node.
pub(in crate::attack) fn intent(action: Value) -> Value {
    let mut body = json!({ "v": 1, "id": EACH, "node": STOLEN, "requested_at": now() });
    merge(&mut body, action);
    body
}

/// The same with these fields added or replaced.
pub(in crate::attack) fn with(mut body: Value, fields: Value) -> Value {
    merge(&mut body, fields);
    body
}

pub(in crate::attack) fn payload(body: &Value) -> Bytes {
    body.to_string().into()
}

/// A new id.
pub(in crate::attack) fn fresh() -> String {
    uuid::Uuid::now_v7().to_string()
}

pub(in crate::attack) fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// A text of so many bytes.
pub(in crate::attack) fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn merge(body: &mut Value, fields: Value) {
    let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) else {
        return;
    };
    body.extend(fields);
}
