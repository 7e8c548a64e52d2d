//! Questions whether a node is still registered. Each answer costs a signature of the fleet's CA.

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use serde_json::json;

use super::{ask_many, client, status};
use crate::attack::{
    flood::Offered,
    scene::{HONEST, Scene},
    size::Size,
};

/// 5,000 questions about the honest node, rightly signed with a key of the stranger's own.
pub(in crate::attack) fn foreign(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    let key = nkeys::KeyPair::new_user();
    ask(scene, size, key, HONEST)
}

/// Asks with this key about this node.
pub(in crate::attack) fn ask<'a>(
    scene: &'a Scene,
    size: Size,
    key: nkeys::KeyPair,
    node: &'static str,
) -> LocalBoxFuture<'a, anyhow::Result<Offered>> {
    async move {
        let http = client()?;
        let url = format!("{}/api/endnodes/{node}/standing", scene.stack.state().management_url());
        let offered = ask_many(size.count(5_000, 50), 64, |_| {
            let (public, at) = (
                key.public_key(),
                chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            );
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
