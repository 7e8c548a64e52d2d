//! Callers who wait for what does not come.

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use rustix::process::Signal;
use serde_json::json;
use vpnmanager_testbed::stack::Part;

use super::{ask_many, clients, status};
use crate::attack::{
    flood::Offered,
    scene::{STOLEN, Scene, another_key},
    size::Size,
};

/// From so many addresses: one may have 256 connections.
const ADDRESSES: u64 = 64;

/// 1,000 callers with one key who ask to wait for a node whose agent stands still.
pub(in crate::attack) fn callers(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let clients = clients(ADDRESSES)?;
        let (wait, count) = size.pick(("20s", 1_000), ("3s", 100));
        let agent = scene.stack.process(Part::Node(2));
        let stop = |signal| agent.into_iter().for_each(|agent| agent.signal(signal));
        stop(Signal::STOP);
        let state = scene.stack.state();
        let key = another_key(scene, "admin").await?;
        let mut asked = ask_many(count, usize::try_from(count).unwrap_or(1), |number| {
            let body = json!({ "username": format!("waiting-{number}"), "server_id": STOLEN });
            let http = &clients[usize::try_from(number % ADDRESSES).unwrap_or_default()];
            let request = http
                .post(format!("{}/api/users?wait={wait}", state.management_url()))
                .header("X-API-Key", &key)
                .json(&body);
            status(request)
        })
        .await;
        stop(Signal::CONT);
        // Each has a right key: one that may not wait is answered at once.
        let let_in = asked.count - asked.refused;
        if let_in < asked.count {
            asked.wrong.push(format!(
                "{let_in} of {} callers with a right key were let in",
                asked.count
            ));
        }
        Ok(asked)
    }
    .boxed_local()
}
