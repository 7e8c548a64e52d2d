//! Odd content on every subject of a node: extreme times and numbers, garbage, subjects and replies of others.

use bytes::Bytes;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use serde_json::{Value, json};

use crate::attack::{
    flood::{Flood, Offered},
    scene::{HONEST, STOLEN, Scene},
    size::Size,
    thief::{
        messages::{Message, REPORT, ack, event, fresh, heartbeat, intent, payload, subject, sync, text, with},
        reading,
    },
};

/// The smallest bound of a message is 4 KiB.
const SMALL: usize = 3_900;
const TIMES: [&str; 12] = [
    "+262142-12-31T23:59:59Z",
    "-262143-01-01T00:00:01Z",
    "9999-12-31T23:59:59.999999999Z",
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "2026-12-31T23:59:60Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "292277026596-12-04T15:30:08Z",
    "soon",
];

/// Times at the ends of what a program can hold, in every message that has one, twice and in one run, so that differences between them
/// are computed too.
pub(in crate::attack) fn times(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    read(scene, size, odd_times(scene))
}

/// Sends each of these, in the full form several times.
fn read(scene: &Scene, size: Size, messages: Vec<Message>) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move { reading::each(scene, &messages, size.count(5, 1)).await }.boxed_local()
}

fn odd_times(scene: &Scene) -> Vec<Message> {
    let user = scene.own().next().map(|person| person.key.clone()).unwrap_or_default();
    let mut messages: Vec<Message> = Vec::new();
    for time in TIMES {
        let run = fresh();
        for instance in [&scene.instance, &run] {
            messages.push(health(with(heartbeat(instance), json!({ "at": time }))));
        }
        messages.push(health(with(
            heartbeat(&scene.instance),
            json!({ "certificate_expires_at": time }),
        )));
        messages.push((subject("sync"), payload(&with(sync(scene), json!({ "at": time })))));
        messages.push(ack(
            scene,
            &user,
            1,
            json!({ "outcome": "applied", "applied_at": time }),
        ));
        messages.push(event(scene, "openvpn_up", json!({ "pid": 1, "at": time })));
        let create = json!({ "type": "create_user", "username": format!("extreme-{}", fresh()) });
        messages.push((
            subject("intent"),
            payload(&with(intent(create.clone()), json!({ "requested_at": time }))),
        ));
        messages.push((
            subject("intent"),
            payload(&with(intent(create), json!({ "expires_at": time }))),
        ));
    }
    messages
}

/// Numbers at their ends, and texts that PostgreSQL cannot hold.
pub(in crate::attack) fn numbers(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    read(scene, size, odd_numbers(scene))
}

fn odd_numbers(scene: &Scene) -> Vec<Message> {
    let user = scene.own().next().map(|person| person.key.clone()).unwrap_or_default();
    let openvpn = |number: Value| {
        json!({ "state": "up", "pid": number, "sessions": number, "capacity": number,
        "bytes_in": number, "bytes_out": number, "version": "\0", "detail": "\u{feff}\0\u{202e}" })
    };
    let mut messages: Vec<Message> = Vec::new();
    for number in [
        json!(u64::MAX),
        json!(i64::MAX),
        json!(u32::MAX),
        json!(-1),
        json!(0),
        json!(1e308),
        json!("1"),
    ] {
        let fields = ["uptime_seconds", "users", "last_sequence", "queued_intents", "groups"];
        for field in fields {
            messages.push(health(with(heartbeat(&scene.instance), json!({ field: number }))));
            messages.push((
                subject("sync"),
                payload(&with(sync(scene), json!({ field: number, "unsettled": number }))),
            ));
        }
        messages.push(health(with(
            heartbeat(&scene.instance),
            json!({ "openvpn": openvpn(number.clone()), "agent_version": "\0" }),
        )));
        messages.push(health(with(
            heartbeat(&scene.instance),
            json!({ "disk_free_bytes": number, "v": number }),
        )));
        messages.push((
            subject("sync"),
            payload(&with(sync(scene), json!({ "stream": number, "complete": false }))),
        ));
        messages.push(ack(
            scene,
            &user,
            1,
            json!({ "outcome": "superseded", "holds": number, "revision": number }),
        ));
        messages.push(event(scene, "openvpn_up", json!({ "pid": number })));
        messages.push(event(
            scene,
            "user_expired",
            json!({ "user_key": user, "sessions": number }),
        ));
        messages.push(event(scene, "openvpn_down", json!({ "reason": "\0\0\0" })));
    }
    messages
}

/// What is no message at all: nothing, garbage, JSON that is deep, long or repeats its keys, in the name of another node. Of each there is one
/// that is small enough to be read as any kind of message, and a large one.
pub(in crate::attack) fn garbage(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    read(scene, size, odd_garbage(scene))
}

fn odd_garbage(scene: &Scene) -> Vec<Message> {
    let foreign = payload(&with(heartbeat(&scene.instance), json!({ "node": HONEST })));
    let mut bodies: Vec<Bytes> = vec![
        Bytes::new(),
        Bytes::from_static(b"\xff\xfe\x00\x01"),
        Bytes::from_static(b"null"),
        foreign,
    ];
    for bytes in [SMALL, REPORT] {
        let keys: String = (0..bytes / 12).map(|number| format!("\"k{number}\":1,")).collect();
        bodies.extend([
            "[".repeat(bytes).into(),
            "{\"v\":".repeat(bytes / 5).into(),
            format!("{{{keys}\"v\":1}}").into(),
            format!("{{\"v\":1,\"v\":1,\"type\":\"{}\"}}", text(bytes)).into(),
            format!("{{\"v\":1,\"traceparent\":\"{}\"}}", "\\u0000".repeat(bytes / 6)).into(),
        ]);
    }
    let user = fresh();
    let kinds = ["health", "sync", "sign", "intent"];
    let mut subjects: Vec<String> = kinds.map(subject).to_vec();
    subjects.extend([
        format!("vpn.event.{STOLEN}.openvpn_up"),
        format!("vpn.ack.{STOLEN}.{user}"),
    ]);
    bodies
        .iter()
        .flat_map(|body| subjects.iter().map(move |subject| (subject.clone(), body.clone())))
        .collect()
}

/// On subjects that are somebody else's: each is refused and told.
pub(in crate::attack) fn forbidden(_scene: &Scene, size: Size) -> Flood {
    let subjects = [
        format!("vpn.cmd.{HONEST}.{}", fresh()),
        format!("vpn.health.{HONEST}"),
        format!("vpn.sync.{HONEST}"),
        format!("vpn.intent.{HONEST}"),
        format!("vpn.event.{HONEST}.openvpn_down"),
        format!("vpn.node.{HONEST}.retire"),
        format!("$JS.ACK.VPN_COMMANDS.{HONEST}.1.1.1.1.0"),
        format!("jsvpn.CONSUMER.MSG.NEXT.VPN_COMMANDS.{HONEST}"),
        "$JS.API.STREAM.PURGE.VPN_COMMANDS".to_owned(),
        "$SYS.REQ.CLAIMS.UPDATE".to_owned(),
        format!("_INBOX.{HONEST}.x"),
    ];
    let messages = subjects.map(|subject| (subject, Bytes::from_static(b"{}")));
    Flood::at_once(messages.to_vec(), size.count(20_000, 1_000))
}

fn health(body: Value) -> Message {
    (subject("health"), payload(&body))
}
