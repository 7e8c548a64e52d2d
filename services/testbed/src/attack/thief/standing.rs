//! Questions about the own standing.

use futures_util::future::LocalBoxFuture;

use crate::attack::{
    flood::Offered,
    scene::{STOLEN, Scene},
    size::Size,
    stranger::standing::ask,
};

/// 5,000, signed with the stolen key.
pub(in crate::attack) fn own(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    let seed = scene.thief.key.seed().unwrap_or_default();
    let key = nkeys::KeyPair::from_seed(&seed).unwrap_or_else(|_| nkeys::KeyPair::new_user());
    ask(scene, size, key, STOLEN)
}
