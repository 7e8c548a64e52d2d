//! Large bodies, large heads, and large answers that nobody reads.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use serde_json::json;

use super::{ask_many, client, management, open, status};
use crate::attack::{flood::Offered, scene::Scene, size::Size};

/// How long somebody who reads nothing stays.
const QUIET: Duration = Duration::from_secs(3);

/// 500 bodies of 1 MB without a key.
pub(in crate::attack) fn bodies(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let http = client()?;
        let url = format!("{}/api/users", scene.stack.state().management_url());
        let body = bytes::Bytes::from(json!({ "username": "x".repeat(1_000_000) }).to_string());
        let length = body.len() as u64;
        let count = size.count(500, 100);
        let mut offered = ask_many(count, 100, |_| {
            let request = http
                .post(&url)
                .header("Content-Type", "application/json")
                .body(body.clone());
            status(request)
        })
        .await;
        offered.bytes = count * length;
        Ok(offered)
    }
    .boxed_local()
}

/// 500 readers of the largest page that needs no key, who read nothing of it.
pub(in crate::attack) fn slow_readers(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    unfinished_quietly(
        scene,
        size.count(500, 100),
        b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
    )
}

/// 500 heads of 500 kB.
pub(in crate::attack) fn large_heads(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    let head = format!(
        "GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "x".repeat(500_000)
    );
    unfinished_quietly(scene, size.count(500, 100), head.into_bytes())
}

/// Opens connections, writes, reads nothing, and leaves after a while.
fn unfinished_quietly(scene: &Scene, count: u64, words: Vec<u8>) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let (streams, mut offered) = open(management(scene), count, 100, &words).await;
        tokio::time::sleep(QUIET).await;
        drop(streams);
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}
