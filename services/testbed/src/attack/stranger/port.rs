//! The port of the bus, for somebody without a credential.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, future::LocalBoxFuture};

use crate::attack::{
    flood::Offered,
    scene::Scene,
    size::Size,
    stranger::{left_open, open},
};

/// How long nats-server may keep somebody who does not say who he is.
const UNKNOWN: Duration = Duration::from_secs(30);

/// 1,000 connections that say nothing.
pub(in crate::attack) fn silent(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    knock(scene, size.count(1_000, 200), b"")
}

/// 1,000 that begin to say something and never end.
pub(in crate::attack) fn unfinished(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    knock(scene, size.count(1_000, 200), b"CONNECT {\"verbose\":false,\"jwt\":\"")
}

/// 2,000 with a token that nobody signed.
pub(in crate::attack) fn forged(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    knock(
        scene,
        size.count(2_000, 200),
        b"CONNECT {\"jwt\":\"eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.e30.AA\",\"sig\":\"AA\"}\r\nPING\r\n",
    )
}

fn knock<'a>(scene: &'a Scene, count: u64, words: &'static [u8]) -> LocalBoxFuture<'a, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let (streams, mut offered) = open(scene.bus(), count, 100, words).await;
        let opened = streams.len() as u64;
        let left = left_open(streams, UNKNOWN).await;
        offered.cut_off = opened - left;
        offered.seconds = begun.elapsed().as_secs_f64();
        if left > 0 {
            offered.wrong.push(format!(
                "{left} of {opened} strangers were still on the bus after {}",
                humantime::format_duration(UNKNOWN)
            ));
        }
        Ok(offered)
    }
    .boxed_local()
}
