//! Wrong keys.

use futures_util::{FutureExt as _, future::LocalBoxFuture};

use super::{ask_many, client, status};
use crate::attack::{flood::Offered, operator, scene::Scene, size::Size};

/// 10,000 requests with wrong keys: each another one, and from one address.
pub(in crate::attack) fn wrong_keys(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    guesses(scene, size, |number| format!("guess-{number}"))
}

/// 10,000 wrong keys from the operator's own address, as behind one router. Who has the right key is let in.
pub(in crate::attack) fn wrong_keys_beside(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move { guess(scene, size, operator::client(64)?, |number| format!("beside-{number}")).await }.boxed_local()
}

/// 10,000 requests with the same wrong key.
pub(in crate::attack) fn wrong_key(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
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
