//! Everything at the same time, on a connection for each kind of message.

use futures_util::{FutureExt as _, future::LocalBoxFuture, future::try_join_all};

use crate::attack::{
    flood::{Flood, Offered},
    scene::Scene,
    size::Size,
    thief::acks,
    thief::events,
    thief::heartbeats,
    thief::intents,
    thief::signs,
    thief::syncs,
};

/// The floods of every kind that management reads.
pub(in crate::attack) fn at_once(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let floods: [fn(&Scene, Size) -> Flood; 7] = [
            heartbeats::burst,
            syncs::burst,
            acks::own,
            acks::unknown,
            intents::refused,
            signs::full,
            events::many,
        ];
        let floods = floods.map(|flood| flood(scene, size).sized(size));
        let sent = floods.iter().map(|flood| flood.send(scene.bus(), &scene.thief));
        let mut all = Offered::default();
        for one in try_join_all(sent).await? {
            all.count += one.count;
            all.bytes += one.bytes;
            all.seconds = all.seconds.max(one.seconds);
            all.answered += one.answered;
            all.refused += one.refused;
            all.cut_off += one.cut_off;
        }
        Ok(all)
    }
    .boxed_local()
}
