//! Requests that never end, and connections that nobody uses.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, future::LocalBoxFuture};

use super::{drip, left_open, management, open};
use crate::attack::{flood::Offered, scene::Scene, size::Size};

/// A head that does not end.
const HEAD: &[u8] = b"GET /api/users HTTP/1.1\r\nHost: x\r\nX-Slow: ";
/// The time between two bytes of somebody who is slow on purpose.
const DRIP: Duration = Duration::from_secs(2);
/// How long a request that is not finished may stay open.
const UNFINISHED: Duration = Duration::from_secs(60);
/// How long a connection may stay open that nobody uses.
const UNUSED: Duration = Duration::from_secs(120);

/// 200 heads that never end.
pub(in crate::attack) fn half_heads(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    unfinished(scene, size, HEAD.to_vec(), UNFINISHED)
}

/// 200 bodies that never end, after a whole head with a length.
pub(in crate::attack) fn half_bodies(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    unfinished(scene, size, body(scene), UNFINISHED)
}

/// 200 heads of which a byte comes each two seconds.
pub(in crate::attack) fn dripping_heads(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    dripping(scene, size, HEAD.to_vec())
}

/// 200 bodies of which a byte comes each two seconds.
pub(in crate::attack) fn dripping_bodies(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    dripping(scene, size, body(scene))
}

fn dripping(scene: &Scene, size: Size, words: Vec<u8>) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let (streams, mut offered) = open(management(scene), size.count(200, 100), 50, &words).await;
        let opened = streams.len() as u64;
        let left = drip(streams, DRIP, UNFINISHED).await;
        tell_left(&mut offered, (left, opened), UNFINISHED);
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}

/// 200 connections on which one request was answered, and no other one comes.
pub(in crate::attack) fn idle(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    unfinished(scene, size, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), UNUSED)
}

fn unfinished(
    scene: &Scene,
    size: Size,
    words: Vec<u8>,
    deadline: Duration,
) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let (streams, mut offered) = open(management(scene), size.count(200, 100), 50, &words).await;
        let opened = streams.len() as u64;
        let left = left_open(streams, deadline).await;
        tell_left(&mut offered, (left, opened), deadline);
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}

fn tell_left(offered: &mut Offered, (left, opened): (u64, u64), deadline: Duration) {
    offered.cut_off = opened - left;
    if left > 0 {
        let deadline = humantime::format_duration(deadline);
        offered
            .wrong
            .push(format!("{left} of {opened} were still open after {deadline}"));
    }
}

/// A head that ends, and the beginning of its body. With a key: a body without one need not be read.
fn body(scene: &Scene) -> Vec<u8> {
    let key = &scene.stack.state().api_key;
    format!(
        "POST /api/users HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{\"user"
    )
    .into_bytes()
}
