//! The stolen node's own consumer of commands: pulled, asked and settled without end; and replies that are sent to somebody else.

use std::time::Instant;

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

/// Pulls that wait for half a minute.
pub(in crate::attack) fn pulls(_scene: &Scene, size: Size) -> Flood {
    let pull = payload(&json!({ "batch": 100, "expires": 30_000_000_000_u64 }));
    let next = format!("jsvpn.CONSUMER.MSG.NEXT.VPN_COMMANDS.{STOLEN}");
    let count = size.count(50_000, 2_000);
    Flood::at_once(vec![(next, pull)], count).with_replies()
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
        wire.taken(std::time::Duration::from_secs(30)).await;
        offered.seconds = begun.elapsed().as_secs_f64();
        offered.refused = wire.seen().errors.load(std::sync::atomic::Ordering::Relaxed);
        offered.cut_off = u64::from(wire.is_closed());
        Ok(offered)
    }
    .boxed_local()
}
