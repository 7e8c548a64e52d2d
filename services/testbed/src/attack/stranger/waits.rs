//! Callers who wait for what does not come.

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use rustix::process::Signal;
use serde_json::json;
use vpnmanager_testbed::stack::Part;

use super::{ask_many, client, status};
use crate::attack::{
    flood::Offered,
    scene::{STOLEN, Scene, second_key},
    size::Size,
};

/// 1,000 callers who wait for a node whose agent stands still.
pub(in crate::attack) fn callers(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
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
