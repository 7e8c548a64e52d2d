//! Sends messages so slowly that each is read, and proves as much of it as can be seen.
//!
//! Requests: after each comes a good one of its kind on another connection. Management answers the requests of one kind and node one after
//! the other, so what was answered after the odd one says that the odd one was read. Reports: their stream is empty in the end. Heartbeats
//! get no answer: they are paced. What management counts as too much is told.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_nats::{ConnectOptions, jetstream};
use bytes::Bytes;
use serde_json::json;
use vpnmanager_testbed::wait;

use crate::attack::{
    flood::{EACH, Offered},
    scene::{STOLEN, Scene, text},
    thief::messages::{Message, fresh, intent, payload, subject, sync, with},
    wire::Wire,
};

/// How long management may take to answer a good request.
const ANSWERED: Duration = Duration::from_secs(20);
/// How long it may take to have read all reports.
const RECORDED: Duration = Duration::from_secs(60);
/// The time between two heartbeats.
const PACE: Duration = Duration::from_millis(20);

/// What management does with a message.
enum Kind {
    /// It answers; with this good one too.
    Request(Message),
    /// Its stream takes it.
    Report,
    Heartbeat,
}

impl Kind {
    fn of(message: &Message, scene: &Scene) -> anyhow::Result<Self> {
        let good = |kind: &str, body: Bytes| Self::Request((subject(kind), body));
        let kind = message.0.split('.').nth(1).unwrap_or_default();
        Ok(match kind {
            "sync" => good(kind, payload(&sync(scene))),
            "sign" => good(
                kind,
                payload(&json!({ "v": 1, "type": "sign", "node": STOLEN, "requests": [] })),
            ),
            "intent" => {
                let remove = intent(json!({ "type": "remove_user", "user_key": fresh(), "username": "nobody" }));
                good(kind, payload(&with(remove, json!({ "id": fresh() }))))
            }
            "ack" | "event" => Self::Report,
            "health" => Self::Heartbeat,
            other => anyhow::bail!("nobody reads messages of the kind {other}"),
        })
    }
}

/// Sends each of these so often.
pub(super) async fn each(scene: &Scene, messages: &[Message], times: u64) -> anyhow::Result<Offered> {
    let begun = Instant::now();
    let mut offered = Offered::default();
    let before = excess(scene).await?;
    let odd = subscribed(scene, "odd").await?;
    let good = subscribed(scene, "good").await?;
    let stored = subscribed(scene, "stored").await?;
    let (mut requests, mut reports, mut heartbeats) = (0, 0, Vec::new());
    for message in (0..times).flat_map(|_| messages) {
        match Kind::of(message, scene)? {
            Kind::Request(after) => {
                send(&odd, message, "odd", &mut offered).await?;
                good.write(&frame(&after, "good")).await?;
                requests += 1;
                if !good.messages(requests, ANSWERED).await {
                    let what = format!("a good request after number {} was not answered", offered.count);
                    offered.wrong.push(what);
                    break;
                }
            }
            Kind::Report => {
                send(&stored, message, "stored", &mut offered).await?;
                reports += 1;
                if !stored.messages(reports, ANSWERED).await {
                    let what = format!("the bus did not say whether it took number {}", offered.count);
                    offered.wrong.push(what);
                    break;
                }
            }
            // One that cannot be read counts as too much, so they come when that was looked at.
            Kind::Heartbeat => heartbeats.push(message),
        }
    }
    if excess(scene).await? != before {
        let what = format!("management dropped some unread: {}", excess(scene).await?);
        offered.wrong.push(what);
    }
    for message in heartbeats {
        send(&odd, message, "odd", &mut offered).await?;
        tokio::time::sleep(PACE).await;
    }
    if let Err(error) = no_report_is_left(scene).await {
        offered.wrong.push(error.to_string());
    }
    let not_taken = stored.seen().refusals.load(Ordering::Relaxed);
    offered.answered = odd.seen().messages.load(Ordering::Relaxed) + reports;
    offered.refused = odd.seen().refusals.load(Ordering::Relaxed) + not_taken;
    offered.notes.push(format!(
        "{requests} requests, of which {} were answered, and {} of {reports} reports were read",
        odd.seen().messages.load(Ordering::Relaxed),
        reports - not_taken
    ));
    if not_taken > 0 {
        let what = format!("the bus did not take {not_taken} of {reports} reports: they were not read");
        offered.wrong.push(what);
    }
    if [&odd, &good, &stored].iter().any(|wire| wire.is_closed()) {
        offered.cut_off += 1;
        offered
            .wrong
            .push("the thief was cut off: not all were read".to_owned());
    }
    offered.seconds = begun.elapsed().as_secs_f64();
    Ok(offered)
}

/// A connection that hears the answers to one kind of its requests.
async fn subscribed(scene: &Scene, inbox: &str) -> anyhow::Result<Wire> {
    let wire = Wire::connect(scene.bus(), &scene.thief).await?;
    wire.write(format!("SUB _INBOX.{STOLEN}.{inbox}.> 1\r\n").as_bytes())
        .await?;
    wire.taken(ANSWERED).await;
    Ok(wire)
}

/// Sends a message, and waits until the server has it.
async fn send(wire: &Wire, message: &Message, inbox: &str, offered: &mut Offered) -> anyhow::Result<()> {
    wire.write(&frame(message, inbox)).await?;
    wire.taken(ANSWERED).await;
    offered.count += 1;
    offered.bytes += message.1.len() as u64;
    Ok(())
}

fn frame((subject, payload): &Message, inbox: &str) -> Vec<u8> {
    let reply = format!("_INBOX.{STOLEN}.{inbox}.{}", fresh());
    let payload = match std::str::from_utf8(payload) {
        Ok(text) => text.replace(EACH, &fresh()).into_bytes(),
        Err(_no_text) => payload.to_vec(),
    };
    let mut frame = format!("PUB {subject} {reply} {}\r\n", payload.len()).into_bytes();
    frame.extend_from_slice(&payload);
    frame.extend_from_slice(b"\r\n");
    frame
}

/// What management last counted as too much, and when.
async fn excess(scene: &Scene) -> anyhow::Result<String> {
    let sql = "SELECT COALESCE(over_budget || ' at ' || over_budget_at, '') AS text FROM servers WHERE name = $1";
    text(&scene.db, sql, STOLEN).await
}

/// Waits until management has taken all reports of the stolen node out of their stream.
async fn no_report_is_left(scene: &Scene) -> anyhow::Result<()> {
    let options = ConnectOptions::with_credentials_file(scene.stack.nats_creds()).await?;
    let bus = options.connect(scene.stack.state().nats_url()).await?;
    let stream = jetstream::new(bus).get_stream(format!("VPN_EVENTS_{STOLEN}")).await;
    let stream = stream.context("there is no stream of reports")?;
    let empty = async || {
        let info = stream.get_info().await.map_err(|error| error.to_string())?;
        match info.state.messages {
            0 => Ok(()),
            left => Err(format!("{left} are left")),
        }
    };
    wait::until_ok(RECORDED, "management to read all reports", empty).await?;
    Ok(())
}
