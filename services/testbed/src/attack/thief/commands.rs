//! The stolen node's own consumer of commands: pulled, asked and settled without end; and replies that are sent to somebody else.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use serde_json::json;

use crate::attack::{
    flood::{Flood, Offered},
    scene::{HONEST, STOLEN, Scene},
    size::Size,
    thief::messages::{payload, subject, sync},
    wire::Wire,
};

/// The longest line that nats-server takes is 2,048 bytes.
const LONGEST_LINE: usize = 2_000;
const TOO_LONG: usize = 3_900;
/// Messages in a second: within the budget of a node.
const RATE: f64 = 10_000.0;
/// So many are written at once.
const TOGETHER: u64 = 50;
/// How long the server may take to close a connection, and to read the last bytes.
const CLOSES: Duration = Duration::from_secs(10);
const TAKEN: Duration = Duration::from_secs(30);

/// Pulls that wait for half a minute.
pub(in crate::attack) fn pulls(_scene: &Scene, size: Size) -> Flood {
    let pull = payload(&json!({ "batch": 100, "expires": 30_000_000_000_u64 }));
    let next = format!("jsvpn.CONSUMER.MSG.NEXT.VPN_COMMANDS.{STOLEN}");
    let count = size.count(50_000, 2_000);
    Flood::at_once(vec![(next, pull)], count).with_replies()
}

/// Pulls that ask for heartbeats without a pause between them, a hundred in a second.
pub(in crate::attack) fn heartbeats(_scene: &Scene, size: Size) -> Flood {
    let pull = payload(&json!({ "batch": 1, "expires": 60_000_000_000_u64, "idle_heartbeat": 1 }));
    let next = format!("jsvpn.CONSUMER.MSG.NEXT.VPN_COMMANDS.{STOLEN}");
    let flood = Flood::at_once(vec![(next, pull)], size.count(2_000, 200)).with_replies();
    Flood {
        rate: Some(100),
        ..flood
    }
}

/// Questions about the consumer.
pub(in crate::attack) fn infos(_scene: &Scene, size: Size) -> Flood {
    let info = format!("jsvpn.CONSUMER.INFO.VPN_COMMANDS.{STOLEN}");
    Flood::at_once(vec![(info, Bytes::new())], size.count(50_000, 2_000)).with_answers()
}

/// Commands are taken, handed back, kept in progress and given up, without end; also such that were never delivered.
pub(in crate::attack) fn settles(_scene: &Scene, size: Size) -> Flood {
    let words = [
        "+ACK",
        "-NAK",
        "+WPI",
        "+TERM",
        "-NAK {\"delay\": 1}",
        "+NXT",
        "+NXT {\"batch\": 100}",
        "?",
    ];
    let messages = (1..=50_u64).flat_map(|sequence| {
        words.map(|word| {
            let subject = format!("$JS.ACK.VPN_COMMANDS.{STOLEN}.1.{sequence}.{sequence}.1700000000000000000.0");
            (subject, Bytes::from_static(word.as_bytes()))
        })
    });
    Flood::at_once(messages.collect(), size.count(100_000, 3_000))
}

/// Requests whose answer goes to what is somebody else's: the honest node's requests, commands, replies and consumer.
pub(in crate::attack) fn diverted(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let wire = Wire::connect(scene.bus(), &scene.thief).await?;
        let body = payload(&sync(scene));
        let body = String::from_utf8_lossy(&body);
        let user = scene
            .others()
            .next()
            .map(|person| person.key.clone())
            .unwrap_or_default();
        let replies = [
            format!("vpn.node.{HONEST}.retire"),
            format!("vpn.node.{HONEST}.profile"),
            format!("vpn.node.{HONEST}.sync"),
            format!("vpn.cmd.{HONEST}.{user}"),
            format!("vpn.ack.{HONEST}.{user}"),
            format!("vpn.health.{HONEST}"),
            format!("vpn.event.{HONEST}.openvpn_down"),
            format!("_INBOX.{HONEST}.x"),
            format!("jsvpn.CONSUMER.MSG.NEXT.VPN_COMMANDS.{HONEST}"),
            "$JS.API.STREAM.PURGE.VPN_COMMANDS".to_owned(),
        ];
        let begun = Instant::now();
        let mut offered = Offered::default();
        for (number, reply) in (0..size.count(2_000, 500)).zip(replies.iter().cycle()) {
            let to = match number % 3 {
                0 => format!("vpn.ack.{STOLEN}.{user}"),
                1 => format!("jsvpn.CONSUMER.INFO.VPN_COMMANDS.{STOLEN}"),
                _ => subject("sync"),
            };
            wire.write(format!("PUB {to} {reply} {}\r\n{body}\r\n", body.len()).as_bytes())
                .await?;
            offered.count += 1;
            offered.bytes += body.len() as u64;
        }
        wire.taken(TAKEN).await;
        offered.seconds = begun.elapsed().as_secs_f64();
        offered.refused = wire.seen().errors.load(Ordering::Relaxed);
        offered.cut_off = u64::from(wire.is_closed());
        Ok(offered)
    }
    .boxed_local()
}

/// Requests that nothing answers, 10,000 a second for 20 s, each with a reply subject of its own and as long as can be: nats-server holds it
/// until it forgets the request.
pub(in crate::attack) fn unanswered(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let mut offered = Offered::default();
        let wire = Wire::connect(scene.bus(), &scene.thief).await?;
        // What counts is whether the server closes the connection, also while this is written.
        let _ = wire.write(unanswered_request(0, TOO_LONG).as_bytes()).await;
        if !wire.closed(CLOSES).await {
            let what = format!("the bus takes a reply subject of {TOO_LONG} bytes");
            offered.wrong.push(what);
        }
        let wire = Wire::connect(scene.bus(), &scene.thief).await?;
        let (count, begun) = (size.count(200_000, 5_000), Instant::now());
        while offered.count < count {
            let requests = offered.count..offered.count + TOGETHER;
            let frames: String = requests
                .map(|number| unanswered_request(number, LONGEST_LINE))
                .collect();
            if wire.write(frames.as_bytes()).await.is_err() {
                break;
            }
            offered.count += TOGETHER;
            offered.bytes += frames.len() as u64;
            let due = Duration::from_secs_f64(offered.count as f64 / RATE);
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        }
        if !wire.taken(TAKEN).await {
            let cause = wire.last_error().unwrap_or_default();
            offered.notes.push(format!("the bus closed the connection: {cause}"));
        }
        offered.seconds = begun.elapsed().as_secs_f64();
        offered.cut_off = u64::from(wire.is_closed());
        Ok(offered)
    }
    .boxed_local()
}

/// Says that work on a command goes on that was never delivered (its sequence is 0), and asks for an answer. `line` is the length of the
/// whole line.
fn unanswered_request(number: u64, line: usize) -> String {
    let begin = format!("PUB $JS.ACK.VPN_COMMANDS.{STOLEN}.0.0.0.0.0 _INBOX.{STOLEN}.{number}.");
    let filler = "x".repeat(line.saturating_sub(begin.len()));
    format!("{begin}{filler} 4\r\n+WPI\r\n")
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, unanswered_request};

    #[test]
    fn each_request_has_a_reply_subject_of_its_own_that_fits() {
        let requests = [1, 200_000].map(|number| unanswered_request(number, LONGEST_LINE));
        assert_ne!(requests[0], requests[1]);
        for request in requests {
            let (line, payload) = request.split_once("\r\n").unwrap();
            assert_eq!((line.len(), payload), (LONGEST_LINE + 2, "+WPI\r\n"));
        }
    }
}
