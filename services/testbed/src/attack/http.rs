//! Requests that never end, connections that say nothing, large bodies without a key, wrong keys, and callers who wait.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, future::BoxFuture};
use rustix::process::Signal;
use serde_json::json;
use vpnmanager_testbed::stack::Part;

use super::{
    credential::Credential,
    flood::Offered,
    operator,
    scene::{SPARE, STOLEN, Scene},
    size::Size,
    stranger::{ask_many, client, left_open, management, open},
    wire::Wire,
};

/// How long a request that is not finished may stay open.
const UNFINISHED: Duration = Duration::from_secs(60);
/// How long a connection may stay open that nobody uses.
const UNUSED: Duration = Duration::from_secs(120);
/// A deregistration must be enforced within this time. It is a deadline and no measure: seconds are usual.
const ENFORCED: Duration = Duration::from_secs(30);

/// 200 heads that never end.
pub(super) fn half_heads(scene: &Scene, size: Size) -> BoxFuture<'_, anyhow::Result<Offered>> {
    unfinished(
        scene,
        size,
        b"GET /api/users HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_vec(),
        UNFINISHED,
    )
}

/// 200 bodies that never end, after a whole head with a length.
pub(super) fn half_bodies(scene: &Scene, size: Size) -> BoxFuture<'_, anyhow::Result<Offered>> {
    let head = format!(
        "POST /api/users HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{\"user",
        scene.stack.state().api_key
    );
    unfinished(scene, size, head.into_bytes(), UNFINISHED)
}

/// 200 connections on which one request was answered, and no other one comes.
pub(super) fn idle(scene: &Scene, size: Size) -> BoxFuture<'_, anyhow::Result<Offered>> {
    unfinished(scene, size, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), UNUSED)
}

fn unfinished(scene: &Scene, size: Size, words: Vec<u8>, deadline: Duration) -> BoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let (streams, mut offered) = open(management(scene), size.count(200, 100), 50, &words).await;
        let opened = streams.len() as u64;
        let left = left_open(streams, deadline).await;
        offered.cut_off = opened - left;
        offered.seconds = begun.elapsed().as_secs_f64();
        if left > 0 {
            offered.wrong.push(format!(
                "{left} of {opened} were still open after {}",
                humantime::format_duration(deadline)
            ));
        }
        Ok(offered)
    }
    .boxed()
}

/// More silent connections than management has descriptors, while an operator deregisters a node.
pub(super) fn silent(scene: &Scene, _size: Size) -> BoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let removed = Credential::of_node(&scene.stack.node(SPARE)?.dir())?;
        let bus = Wire::connect(scene.bus(), &removed).await?;
        let (streams, mut offered) = open(management(scene), 1_100, 100, b"").await;
        let deregister = operator::client(0)?
            .delete(format!(
                "{}/api/endnodes/node-{SPARE}",
                scene.stack.state().management_url()
            ))
            .header("X-API-Key", &scene.stack.state().api_key)
            .timeout(ENFORCED)
            .send()
            .await;
        match deregister {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => offered
                .wrong
                .push(format!("the deregistration was answered {}", answer.status())),
            Err(_) => offered.wrong.push("the deregistration was not answered".to_owned()),
        }
        if !bus.closed(ENFORCED).await {
            offered
                .wrong
                .push("the deregistered node is still on the bus".to_owned());
        }
        let opened = streams.len() as u64;
        offered.cut_off = opened - left_open(streams, Duration::from_secs(1)).await;
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed()
}

/// 500 bodies of 1 MB without a key.
pub(super) fn bodies(scene: &Scene, size: Size) -> BoxFuture<'_, anyhow::Result<Offered>> {
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
            async move { request.send().await.ok().map(|answer| answer.status().as_u16()) }
        })
        .await;
        offered.bytes = count * length;
        Ok(offered)
    }
    .boxed()
}

/// 10,000 requests with wrong keys: each another one, and from one address.
pub(super) fn wrong_keys(scene: &Scene, size: Size) -> BoxFuture<'_, anyhow::Result<Offered>> {
    guesses(scene, size, |number| format!("guess-{number}"))
}

/// 10,000 requests with the same wrong key.
pub(super) fn wrong_key(scene: &Scene, size: Size) -> BoxFuture<'_, anyhow::Result<Offered>> {
    guesses(scene, size, |_| "guess".to_owned())
}

fn guesses(scene: &Scene, size: Size, key: fn(u64) -> String) -> BoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let http = client()?;
        let url = format!("{}/api/users", scene.stack.state().management_url());
        let mut offered = ask_many(size.count(10_000, 1_000), 64, |number| {
            let request = http.get(&url).header("X-API-Key", key(number));
            async move { request.send().await.ok().map(|answer| answer.status().as_u16()) }
        })
        .await;
        if offered.refused < offered.count {
            offered.wrong.push(format!(
                "{} wrong keys were not refused",
                offered.count - offered.refused
            ));
        }
        Ok(offered)
    }
    .boxed()
}

/// 1,000 callers who wait for a node whose agent stands still.
pub(super) fn waits(scene: &Scene, size: Size) -> BoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let http = client()?;
        let (wait, count) = size.pick(("20s", 1_000), ("3s", 100));
        let agent = scene.stack.process(Part::Node(2));
        let stop = |signal| agent.into_iter().for_each(|agent| agent.signal(signal));
        stop(Signal::STOP);
        let state = scene.stack.state();
        let asked = ask_many(count, usize::try_from(count).unwrap_or(1), |number| {
            let body = json!({ "username": format!("waiting-{number}"), "server_id": STOLEN });
            let request = http
                .post(format!("{}/api/users?wait={wait}", state.management_url()))
                .header("X-API-Key", &state.api_key)
                .json(&body);
            async move { request.send().await.ok().map(|answer| answer.status().as_u16()) }
        })
        .await;
        stop(Signal::CONT);
        Ok(asked)
    }
    .boxed()
}
