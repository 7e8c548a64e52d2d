//! Connections with one credential: many at once, many one after the other, with as many subscriptions as are allowed and more.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, future::LocalBoxFuture, stream};

use crate::attack::{
    credential::Credential,
    flood::Offered,
    scene::{STOLEN, Scene},
    size::Size,
    wire::{Wire, WireError},
};

/// How long connections are held.
const HELD: Duration = Duration::from_secs(4);
/// How many are opened at the same moment.
const AT_ONCE: usize = 50;
/// A name of which nearly all bytes become six in JSON; with the token it makes nearly the longest CONNECT that the server takes.
const NAME: usize = 900;
/// Management looks at the connections every 5 s.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(30);
/// What fails for 30 s is told by management.
const TOLD_WITHIN: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(500);

/// 500 at once, held for a while.
pub(in crate::attack) fn many(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let count = size.count(500, 200);
        let begun = Instant::now();
        let (wires, mut offered) = open(scene, count).await?;
        let honest = Credential::of_node(&scene.stack.node(1)?.dir())?;
        if let Err(error) = Wire::connect(scene.bus(), &honest).await {
            offered.wrong.push(format!("the honest node cannot connect: {error}"));
        }
        tokio::time::sleep(HELD).await;
        offered.cut_off = wires.iter().filter(|wire| wire.is_closed()).count() as u64;
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}

/// One after the other is opened and closed.
pub(in crate::attack) fn churn(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let count = size.count(5_000, 300);
        let begun = Instant::now();
        let (_, mut offered) = open_each(scene, count, drop).await?;
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}

/// One after the other is opened and closed with a name as long as can be, which the server keeps and tells. Management must still be able to
/// read the list: it cuts off the thief, and says of itself that it counts.
pub(in crate::attack) fn names(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let (_, mut offered) = open_as(scene, &"<".repeat(NAME), size.count(4_000, 200), drop).await?;
        offered.seconds = begun.elapsed().as_secs_f64();
        if offered.answered == 0 {
            let what = "the bus took no connection with a long name: nothing was tested";
            offered.wrong.push(what.to_owned());
        }
        let waited = Instant::now();
        while !is_cut_off(scene).await? {
            if waited.elapsed() > CUT_OFF_WITHIN {
                let what = "a thief who opened so many connections was not cut off";
                offered.wrong.push(what.to_owned());
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        if size == Size::Full {
            tokio::time::sleep(TOLD_WITHIN).await;
        }
        let health = scene.stack.api().get("/health").await?;
        if health.body["status"] != "ok" {
            offered
                .wrong
                .push(format!("management says of itself: {}", health.text));
        }
        Ok(offered)
    }
    .boxed_local()
}

async fn is_cut_off(scene: &Scene) -> anyhow::Result<bool> {
    let known = scene.stack.api().endnode(STOLEN).await?;
    Ok(known.body["cut_off_until"].is_string())
}

/// On each connection 1,000 subscriptions to what it may hear; 32 are allowed.
pub(in crate::attack) fn subscriptions(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let (wires, mut offered) = open(scene, size.count(20, 4)).await?;
        for wire in &wires {
            let mut frames = String::new();
            for number in 1..=1_000 {
                frames.push_str(&format!("SUB _INBOX.{STOLEN}.{number}.> {number}\r\n"));
            }
            // One that was closed meanwhile is counted below.
            let _ = wire.write(frames.as_bytes()).await;
            wire.taken(HELD).await;
            offered.count += 1_000;
            offered.bytes += frames.len() as u64;
            offered.refused += wire.seen().errors.load(Ordering::Relaxed);
            offered.cut_off += u64::from(wire.is_closed());
        }
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}

/// One connection subscribes and unsubscribes, without end.
pub(in crate::attack) fn resubscribing(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let (wires, mut offered) = open(scene, 1).await?;
        let frames = format!("SUB vpn.node.{STOLEN}.> 1\r\nUNSUB 1\r\n").repeat(1_000);
        for wire in &wires {
            for _ in 0..size.count(200, 10) {
                if wire.write(frames.as_bytes()).await.is_err() {
                    break;
                }
                offered.count += 1_000;
                offered.bytes += frames.len() as u64;
            }
            wire.taken(HELD).await;
            offered.refused += wire.seen().errors.load(Ordering::Relaxed);
            offered.cut_off += u64::from(wire.is_closed());
        }
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}

async fn open(scene: &Scene, count: u64) -> anyhow::Result<(Vec<Wire>, Offered)> {
    open_each(scene, count, |wire| wire).await
}

/// Opens connections, a number at the same moment, and does something with each.
async fn open_each<T>(scene: &Scene, count: u64, then: fn(Wire) -> T) -> anyhow::Result<(Vec<T>, Offered)> {
    open_as(scene, "thief", count, then).await
}

/// As [`open_each`], with a name for each connection.
async fn open_as<T>(scene: &Scene, name: &str, count: u64, then: fn(Wire) -> T) -> anyhow::Result<(Vec<T>, Offered)> {
    let opened = stream::iter(0..count)
        .map(|_| async { Wire::connect_as(scene.bus(), &scene.thief, name).await.map(then) })
        .buffer_unordered(AT_ONCE);
    let mut offered = Offered {
        count,
        ..Offered::default()
    };
    let mut kept = Vec::new();
    for result in opened.collect::<Vec<_>>().await {
        match result {
            Ok(one) => kept.push(one),
            Err(WireError::Seed(error)) => return Err(error.into()),
            Err(WireError::Io(_) | WireError::Silent | WireError::Refused(_) | WireError::Greeting) => {
                offered.refused += 1
            }
        }
    }
    offered.answered = kept.len() as u64;
    Ok((kept, offered))
}
