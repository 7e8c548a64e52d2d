//! More silent connections than management has descriptors, while an operator deregisters a node.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use vpnmanager_testbed::wait;

use super::{left_open, management, open_from};
use crate::attack::{
    credential::Credential,
    flood::Offered,
    operator,
    scene::{SPARE, Scene},
    size::Size,
    wire::Wire,
};

/// A deregistration must be enforced within this time. It is a deadline and no measure: seconds are usual.
const ENFORCED: Duration = Duration::from_secs(30);

/// 1,100 silent connections from one address, of which management keeps 256, while an operator deregisters a node.
pub(in crate::attack) fn silent(scene: &Scene, _size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    crowded(scene, 1)
}

/// The same from 64 addresses: more of them stay than management has descriptors for.
pub(in crate::attack) fn silent_from_many(scene: &Scene, _size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    crowded(scene, 64)
}

fn crowded(scene: &Scene, addresses: u64) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let removed = Credential::of_node(&scene.stack.node(SPARE)?.dir())?;
        // A busy server may close a connection whose client was too slow to say who it is.
        let connected = async || {
            Wire::connect(scene.bus(), &removed)
                .await
                .map_err(|error| error.to_string())
        };
        let bus = wait::until_ok(ENFORCED, "the node's connection", connected).await?;
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
            .post(format!(
                "{}/api/endnodes/node-{SPARE}/deregister",
                state.management_url()
            ))
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
