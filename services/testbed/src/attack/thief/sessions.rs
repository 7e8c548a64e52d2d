//! Sessions without end: the thief answers in place of the agent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, future::LocalBoxFuture};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use vpnmanager_testbed::{stack::Part, wait};

use crate::attack::{
    flood::Offered,
    scene::{STOLEN, Scene},
    size::Size,
    thief::{
        messages::{heartbeat, now, payload, subject, text, with},
        profiles::connect,
    },
};

/// Sessions on a page: the most that management takes.
const PAGE: u64 = 96;
/// How long management may take to believe that the node has an OpenVPN.
const BELIEVED: Duration = Duration::from_secs(20);
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Answers each request for a page of sessions with a full one, and says that there are more, while an operator lists one session.
pub(in crate::attack) fn endless(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let agent = scene.stack.process(Part::Node(2));
        let stop = |signal| agent.into_iter().for_each(|agent| agent.signal(signal));
        let bus = connect(scene).await?;
        let mut requests = bus.subscribe(format!("vpn.node.{STOLEN}.sessions")).await?;
        bus.flush().await?;
        stop(Signal::STOP);
        let told = Arc::new(AtomicU64::new(0));
        let mut thief = JoinSet::new();
        let (answering, pages) = (bus.clone(), Arc::clone(&told));
        thief.spawn(async move {
            while let Some(request) = requests.next().await {
                if let Some(reply) = request.reply {
                    let number = pages.fetch_add(1, Ordering::Relaxed);
                    // A thief who is cut off has nothing to say.
                    let _ = answering.publish(reply, payload(&page(number))).await;
                }
            }
        });
        let openvpn =
            json!({ "state": "up", "pid": 1, "sessions": 60_000, "capacity": 1000, "bytes_in": 0, "bytes_out": 0 });
        let up = with(heartbeat(&scene.instance), json!({ "openvpn": openvpn }));
        thief.spawn(async move {
            loop {
                let up = with(up.clone(), json!({ "at": now() }));
                let _ = bus.publish(subject("health"), payload(&up)).await;
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
        let listed = list(scene, size).await;
        stop(Signal::CONT);
        thief.shutdown().await;
        let mut offered = listed?;
        let pages = told.load(Ordering::Relaxed);
        offered.bytes = pages * page(0).to_string().len() as u64;
        offered.notes.push(format!("{} sessions were told", pages * PAGE));
        if pages == 0 {
            offered
                .wrong
                .push("the thief was not asked: nothing was tested".to_owned());
        }
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}

/// Lists one session, again and again.
async fn list(scene: &Scene, size: Size) -> anyhow::Result<Offered> {
    let api = scene.stack.api();
    let is_up = async || match api.endnode(STOLEN).await {
        Ok(answer) if answer.body["health"]["openvpn_state"] == "up" => Ok(()),
        Ok(answer) => Err(answer.text),
        Err(error) => Err(error.to_string()),
    };
    wait::until_ok(BELIEVED, "the node to have an OpenVPN", is_up).await?;
    let mut offered = Offered::default();
    for _ in 0..size.count(20, 4) {
        let answer = api.get("/api/sessions?limit=1").await?;
        offered.count += 1;
        offered.answered += 1;
        if answer.status != 200 || answer.items().len() > 1 {
            offered.refused += 1;
            let what = format!("a list of one session was answered {}: {}", answer.status, answer.text);
            offered.wrong.push(what);
        }
    }
    offered.wrong.truncate(3);
    Ok(offered)
}

/// A full page of the largest sessions.
fn page(number: u64) -> Value {
    let sessions: Vec<Value> = (0..PAGE)
        .map(|at| {
            json!({
                "common_name": "nobody.aaaaaaaaaaaaaaaa", "cid": number * PAGE + at, "real_address": text(64),
                "virtual_address": text(64), "virtual_address6": text(45), "bytes_in": u64::MAX, "bytes_out": u64::MAX,
                "since": now(), "client_version": text(32), "client_platform": text(32),
            })
        })
        .collect();
    json!({ "v": 1, "type": "sessions", "sessions": sessions, "more": true })
}
