//! Reports whose headers are larger than they are.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use serde_json::json;

use crate::attack::{
    flood::Offered,
    scene::{STOLEN, Scene},
    size::Size,
    thief::messages::{ack, text},
    wire::Wire,
};

/// The bytes of an id.
const ID: std::ops::Range<usize> = 40_000..60_000;
/// Messages in a second: within the budget of a node.
const RATE: f64 = 1_000.0;
/// How long the server may take to answer the last ones.
const ANSWERS: Duration = Duration::from_secs(10);

/// 10,000 acks of own users, each with another id, which nats-server remembers so that it takes none twice.
pub(in crate::attack) fn headers(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let applied = json!({ "outcome": "applied" });
        let acks: Vec<_> = scene
            .own()
            .map(|person| ack(scene, &person.key, person.revision, applied.clone()))
            .collect();
        let filler = text(ID.end);
        let wire = Wire::connect(scene.bus(), &scene.thief).await?;
        wire.write(format!("SUB _INBOX.{STOLEN}.large.> 1\r\n").as_bytes())
            .await?;
        let begun = Instant::now();
        let mut offered = Offered::default();
        for (number, (subject, payload)) in (0..size.count(10_000, 1_500)).zip(acks.iter().cycle()) {
            let id = format!("{number:016x}-{:08x}-", fastrand::u32(..));
            let rest = fastrand::usize(ID) - id.len();
            let headers = format!("NATS/1.0\r\nNats-Msg-Id: {id}{}\r\n\r\n", &filler[..rest]);
            let (length, whole) = (headers.len(), headers.len() + payload.len());
            let mut frame =
                format!("HPUB {subject} _INBOX.{STOLEN}.large.{number} {length} {whole}\r\n{headers}").into_bytes();
            frame.extend_from_slice(payload);
            frame.extend_from_slice(b"\r\n");
            if wire.write(&frame).await.is_err() {
                break;
            }
            offered.count += 1;
            offered.bytes += whole as u64;
            let due = Duration::from_secs_f64(offered.count as f64 / RATE);
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        }
        wire.messages(offered.count, ANSWERS).await;
        offered.seconds = begun.elapsed().as_secs_f64();
        offered.answered = wire.seen().messages.load(Ordering::Relaxed);
        offered.refused = wire.seen().refusals.load(Ordering::Relaxed);
        offered.cut_off = u64::from(wire.is_closed());
        offered.notes.push(format!(
            "{} of {} reports were stored",
            offered.answered - offered.refused,
            offered.count
        ));
        Ok(offered)
    }
    .boxed_local()
}
