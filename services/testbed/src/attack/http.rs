//! Requests that never end, connections that say nothing, large bodies without a key, wrong keys, and callers who wait.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use rustix::process::Signal;
use serde_json::json;
use vpnmanager_testbed::{stack::Part, wait};

use super::{
    credential::Credential,
    flood::Offered,
    operator,
    scene::{HONEST, SPARE, STOLEN, Scene, second_key},
    size::Size,
    stranger::{ask_many, client, drip, left_open, management, open, open_from},
    wire::Wire,
};

/// A head that does not end.
const HEAD: &[u8] = b"GET /api/users HTTP/1.1\r\nHost: x\r\nX-Slow: ";
/// The time between two bytes of somebody who is slow on purpose.
const DRIP: Duration = Duration::from_secs(2);
/// How long a request that is not finished may stay open.
const UNFINISHED: Duration = Duration::from_secs(60);
/// How long a connection may stay open that nobody uses.
const UNUSED: Duration = Duration::from_secs(120);
/// How long somebody who reads nothing stays.
const QUIET: Duration = Duration::from_secs(3);
/// A deregistration must be enforced within this time. It is a deadline and no measure: seconds are usual.
const ENFORCED: Duration = Duration::from_secs(30);

/// 200 heads that never end.
pub(super) fn half_heads(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    unfinished(scene, size, HEAD.to_vec(), UNFINISHED)
}

/// 200 bodies that never end, after a whole head with a length.
pub(super) fn half_bodies(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    unfinished(scene, size, body(scene), UNFINISHED)
}

/// 200 heads of which a byte comes each two seconds.
pub(super) fn dripping_heads(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    dripping(scene, size, HEAD.to_vec())
}

/// 200 bodies of which a byte comes each two seconds.
pub(super) fn dripping_bodies(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
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
pub(super) fn idle(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
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

/// More silent connections than management has descriptors, while an operator deregisters a node.
pub(super) fn silent(scene: &Scene, _size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    crowded(scene, 1)
}

/// The same from 64 addresses.
pub(super) fn silent_from_many(scene: &Scene, _size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    crowded(scene, 64)
}

fn crowded(scene: &Scene, addresses: u64) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let removed = Credential::of_node(&scene.stack.node(SPARE)?.dir())?;
        let bus = Wire::connect(scene.bus(), &removed).await?;
        let (streams, mut offered) = open_from(addresses, management(scene), 1_100, 100, b"").await;
        if let Err(error) = deregister(scene).await {
            offered.wrong.push(format!("deregistering a node: {error}"));
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
    .boxed_local()
}

/// An operator on a new connection, who tries again when he is not answered.
async fn deregister(scene: &Scene) -> Result<(), wait::TimedOut> {
    let state = scene.stack.state();
    wait::until_ok(ENFORCED, "an answer", async || {
        let request = operator::client(0)
            .map_err(|error| error.to_string())?
            .delete(format!("{}/api/endnodes/node-{SPARE}", state.management_url()))
            .header("X-API-Key", &state.api_key)
            .timeout(ENFORCED);
        let answer = request.send().await.map_err(|_| "no answer".to_owned())?;
        let status = answer.status();
        // An earlier try may have done it without being heard.
        let is_done = status.is_success() || status.as_u16() == 404;
        is_done.then_some(()).ok_or(format!("answered {status}"))
    })
    .await
}

/// 500 bodies of 1 MB without a key.
pub(super) fn bodies(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
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

/// 10,000 requests with wrong keys: each another one, and from one address.
pub(super) fn wrong_keys(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    guesses(scene, size, |number| format!("guess-{number}"))
}

/// 10,000 wrong keys from the operator's own address, as behind one router. Who has the right key is let in.
pub(super) fn wrong_keys_beside(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move { guess(scene, size, operator::client(64)?, |number| format!("beside-{number}")).await }.boxed_local()
}

/// 10,000 requests with the same wrong key.
pub(super) fn wrong_key(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    guesses(scene, size, |_| "guess".to_owned())
}

fn guesses(scene: &Scene, size: Size, key: fn(u64) -> String) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move { guess(scene, size, client()?, key).await }.boxed_local()
}

async fn guess(scene: &Scene, size: Size, http: reqwest::Client, key: fn(u64) -> String) -> anyhow::Result<Offered> {
    let url = format!("{}/api/users", scene.stack.state().management_url());
    let mut offered = ask_many(size.count(10_000, 1_000), 64, |number| {
        status(http.get(&url).header("X-API-Key", key(number)))
    })
    .await;
    if offered.refused < offered.count {
        let taken = offered.count - offered.refused;
        offered.wrong.push(format!("{taken} wrong keys were not refused"));
    }
    Ok(offered)
}

async fn status(request: reqwest::RequestBuilder) -> Option<u16> {
    request.send().await.ok().map(|answer| answer.status().as_u16())
}

/// 500 readers of the largest page that needs no key, who read nothing of it.
pub(super) fn slow_readers(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    unfinished_quietly(
        scene,
        size.count(500, 100),
        b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
    )
}

/// 500 heads of 500 kB.
pub(super) fn large_heads(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
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

/// 5,000 questions about the standing of the honest node, rightly signed with a key of the stranger's own. Each costs a signature of the
/// fleet's CA.
pub(super) fn standings(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    let key = nkeys::KeyPair::new_user();
    ask_standings(scene, size, key, HONEST)
}

/// The same about the stolen node, with its key.
pub(super) fn own_standings(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    let seed = scene.thief.key.seed().unwrap_or_default();
    let key = nkeys::KeyPair::from_seed(&seed).unwrap_or_else(|_| nkeys::KeyPair::new_user());
    ask_standings(scene, size, key, STOLEN)
}

fn ask_standings<'a>(
    scene: &'a Scene,
    size: Size,
    key: nkeys::KeyPair,
    node: &'static str,
) -> LocalBoxFuture<'a, anyhow::Result<Offered>> {
    async move {
        let http = client()?;
        let url = format!("{}/api/endnodes/{node}/standing", scene.stack.state().management_url());
        let offered = ask_many(size.count(5_000, 50), 64, |_| {
            let (public, at) = (key.public_key(), super::messages::now());
            let text = format!("vpnmanager standing question\n{node}\n{public}\n{at}\n");
            let signature = key.sign(text.as_bytes()).unwrap_or_default();
            let signature = data_encoding::BASE64URL_NOPAD.encode(&signature);
            status(
                http.post(&url)
                    .json(&json!({ "bus_public_key": public, "at": at, "signature": signature })),
            )
        })
        .await;
        Ok(offered)
    }
    .boxed_local()
}

/// 1,000 callers who wait for a node whose agent stands still.
pub(super) fn waits(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let http = client()?;
        let (wait, count) = size.pick(("20s", 1_000), ("3s", 100));
        let agent = scene.stack.process(Part::Node(2));
        let stop = |signal| agent.into_iter().for_each(|agent| agent.signal(signal));
        stop(Signal::STOP);
        let state = scene.stack.state();
        let key = second_key(scene).await?;
        let asked = ask_many(count, usize::try_from(count).unwrap_or(1), |number| {
            let body = json!({ "username": format!("waiting-{number}"), "server_id": STOLEN });
            let request = http
                .post(format!("{}/api/users?wait={wait}", state.management_url()))
                .header("X-API-Key", &key)
                .json(&body);
            status(request)
        })
        .await;
        stop(Signal::CONT);
        Ok(asked)
    }
    .boxed_local()
}
