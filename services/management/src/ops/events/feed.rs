//! What the follower of the trail tells, for all who listen.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::sync::{
    Semaphore, SemaphorePermit,
    broadcast::{self, Receiver},
    watch,
};
use vpnmanager_runtime::reconcile::Wake;

use super::{
    event::Event,
    places::{Full, Place, Places},
};
use crate::{
    config::EventsConfig,
    ops::keys::authenticate::{KeyCache, Operator},
};

/// Batches that a listener may be behind before it reads the trail by itself. They are shared by all listeners.
const BATCHES: usize = 16;
/// Listeners that read the trail by themselves at the same time: hundreds that are behind must leave the database to others.
const READERS: usize = 4;
/// How long a request waits until it is known how far the trail goes.
const SOON: Duration = Duration::from_secs(5);

/// The feed of events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    batches: broadcast::Sender<Arc<Batch>>,
    /// Up to which id the trail is complete; `None` until that is known.
    settled: watch::Sender<Option<i64>>,
    places: Places,
    readers: Semaphore,
    wake: Wake,
}

/// What is new of the trail: all entries above one id and up to another one.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The batch before ended here.
    pub(crate) after: i64,
    /// No entry up to this id can come any more.
    pub(crate) upto: i64,
    /// `None` where nobody listened when it was read.
    pub(crate) events: Option<Vec<Arc<Event>>>,
}

impl Feed {
    /// A feed that nothing was told to.
    pub fn new(limits: EventsConfig) -> Self {
        let (batches, _) = broadcast::channel(BATCHES);
        Self {
            inner: Arc::new(Inner {
                batches,
                settled: watch::Sender::new(None),
                places: Places::new(limits),
                readers: Semaphore::new(READERS),
                wake: Wake::new(),
            }),
        }
    }

    /// Wakes the follower.
    pub fn wake(&self) -> &Wake {
        &self.inner.wake
    }

    /// A place for the holder of this key, and what is told from now on.
    pub(crate) fn join(&self, key: SecretString, operator: Operator) -> Result<(Place, Receiver<Arc<Batch>>), Full> {
        let place = self.inner.places.take(key, operator)?;
        let live = self.inner.batches.subscribe();
        self.inner.wake.wake();
        Ok((place, live))
    }

    /// Up to which id the trail is complete; waits until that is known, which is a moment after the start.
    pub async fn settled(&self) -> i64 {
        let mut settled = self.inner.settled.subscribe();
        let known = settled.wait_for(Option::is_some).await.map(|known| *known);
        match known {
            Ok(Some(known)) => known,
            // The sender lives as long as this feed.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// The same; `None` where that is not known within some seconds.
    pub async fn settled_soon(&self) -> Option<i64> {
        tokio::time::timeout(SOON, self.settled()).await.ok()
    }

    /// The same once the trail is complete up to this id at least.
    pub(crate) async fn settled_beyond(&self, id: i64) -> Option<i64> {
        let mut settled = self.inner.settled.subscribe();
        self.inner.wake.wake();
        let reached = settled.wait_for(|known| known.is_some_and(|known| known >= id));
        let reached = tokio::time::timeout(SOON, reached).await;
        reached.ok().and_then(|known| known.ok().and_then(|known| *known))
    }

    /// The same without waiting.
    pub(crate) fn settled_now(&self) -> Option<i64> {
        *self.inner.settled.borrow()
    }

    /// A turn to read the trail.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        let turn = self.inner.readers.acquire().await;
        turn.expect("the semaphore is never closed")
    }

    /// Ends the streams of keys that are not good any more.
    pub async fn check_keys(&self, keys: &KeyCache) {
        self.inner.places.check_keys(keys).await;
    }

    /// Whether anybody listens.
    pub(crate) fn has_listeners(&self) -> bool {
        self.inner.places.any()
    }

    /// Tells all listeners. The end is told first: who begins to listen meanwhile reads up to it by itself.
    pub(crate) fn tell(&self, batch: Batch) {
        self.settle(batch.upto);
        // Nobody may be listening.
        let _listeners = self.inner.batches.send(Arc::new(batch));
    }

    /// Says up to where the trail is complete.
    pub(crate) fn settle(&self, upto: i64) {
        self.inner.settled.send_replace(Some(upto));
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn no_more_than_a_few_listeners_read_the_trail_at_once() {
        let number = |number| NonZeroU32::new(number).expect("not 0");
        let feed = Feed::new(EventsConfig {
            max_streams: number(9),
            max_streams_per_key: number(9),
        });
        let mut turns = Vec::new();
        for _ in 0..READERS {
            turns.push(feed.turn().await);
        }
        assert!(feed.turn().now_or_never().is_none());
        turns.pop();
        assert!(feed.turn().now_or_never().is_some());
    }
}
