//! Callers with a right key: who wait for what does not come, and who change much at once.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use reqwest::{Client, RequestBuilder};
use rustix::process::Signal;
use serde_json::json;
use vpnmanager_testbed::{process::Identity, stack::Part};

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
        let person = scene.own().next().context("a user of the stolen node")?;
        let user = format!("{}/api/users/{}", scene.stack.state().management_url(), person.username);
        // A change that only the node that stands still has not applied.
        let agent = Still::hold(scene);
        let key = another_key(scene, "admin").await?;
        let suspend = Client::new().patch(&user).header("X-API-Key", &key);
        suspend
            .json(&json!({ "active": false }))
            .send()
            .await?
            .error_for_status()?;
        let (wait, count) = size.pick((Duration::from_secs(20), 1_000), (Duration::from_secs(3), 100));
        let mut asked = ask_all(count, |http, _number| {
            http.patch(format!("{user}?wait={}s", wait.as_secs()))
                .header("X-API-Key", &key)
                .json(&json!({}))
        })
        .await?;
        drop(agent);
        if asked.seconds < wait.as_secs_f64() {
            asked.wrong.push("nobody waited".to_owned());
        }
        Ok(asked)
    }
    .boxed_local()
}

/// 1,000 creates at once by 1,000 callers with one key.
pub(in crate::attack) fn creates(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let users = format!("{}/api/users", scene.stack.state().management_url());
        let key = another_key(scene, "admin").await?;
        ask_all(size.count(1_000, 100), |http, number| {
            let body = json!({ "username": format!("one-of-many-{number}"), "server_id": STOLEN });
            http.post(&users).header("X-API-Key", &key).json(&body)
        })
        .await
    }
    .boxed_local()
}

/// The agent of the stolen node stands still until this is dropped.
struct Still(Option<Identity>);

impl Still {
    fn hold(scene: &Scene) -> Self {
        let agent = scene.stack.process(Part::Node(2));
        agent.iter().for_each(|agent| agent.signal(Signal::STOP));
        Self(agent)
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        self.0.iter().for_each(|agent| agent.signal(Signal::CONT));
    }
}

/// All at the same time, from all addresses. Each has a right key: none may be refused.
async fn ask_all(count: u64, request: impl Fn(&Client, u64) -> RequestBuilder) -> anyhow::Result<Offered> {
    let clients = clients(ADDRESSES)?;
    let mut asked = ask_many(count, usize::try_from(count).unwrap_or(1), |number| {
        status(request(
            &clients[usize::try_from(number % ADDRESSES).unwrap_or_default()],
            number,
        ))
    })
    .await;
    let let_in = asked.count - asked.refused;
    if let_in < asked.count {
        asked.wrong.push(format!(
            "{let_in} of {} callers with a right key were let in",
            asked.count
        ));
    }
    Ok(asked)
}
