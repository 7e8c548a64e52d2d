//! Who listens: how many streams are open, by which key, and whether the key is still good.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use futures_util::future::join_all;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;
use vpnmanager_openapi::auth::hash_key;

use crate::{
    config::EventsConfig,
    ops::keys::authenticate::{KeyCache, Operator},
};

/// The places of listeners. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    limits: EventsConfig,
    book: Arc<Mutex<Book>>,
}

type KeyHash = [u8; 32];

#[derive(Debug, Default)]
struct Book {
    open: u32,
    by_key: HashMap<KeyHash, Arc<Holder>>,
}

/// The holder of a key who listens.
#[derive(Debug)]
struct Holder {
    key: SecretString,
    operator: Operator,
    streams: AtomicU32,
    /// The key is not good any more, or not for the same.
    ended: CancellationToken,
}

/// The right to listen; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    places: Places,
    hash: KeyHash,
    holder: Arc<Holder>,
}

/// As many streams are open as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Of this key.
    #[error("the key has {0} streams of events open, as many as one may have (EVENTS_MAX_STREAMS_PER_KEY)")]
    Key(u32),
    /// In all.
    #[error("{0} streams of events are open, as many as there may be (EVENTS_MAX_STREAMS)")]
    Service(u32),
}

impl Places {
    pub(crate) fn new(limits: EventsConfig) -> Self {
        Self {
            limits,
            book: Arc::default(),
        }
    }

    /// A place for the holder of this key.
    pub(crate) fn take(&self, key: SecretString, operator: Operator) -> Result<Place, Full> {
        let hash = hash_key(key.expose_secret());
        let mut book = self.book();
        let most = self.limits.max_streams.get();
        if book.open >= most {
            return Err(Full::Service(most));
        }
        let known = book.by_key.get(&hash).filter(|holder| holder.operator == operator);
        let holder = known.cloned().unwrap_or_else(|| {
            Arc::new(Holder {
                key,
                operator,
                streams: AtomicU32::new(0),
                ended: CancellationToken::new(),
            })
        });
        let most = self.limits.max_streams_per_key.get();
        if holder.streams.load(Ordering::Relaxed) >= most {
            return Err(Full::Key(most));
        }
        holder.streams.fetch_add(1, Ordering::Relaxed);
        if let Some(former) = book.by_key.insert(hash, holder.clone())
            && !Arc::ptr_eq(&former, &holder)
        {
            // The key may do something else now.
            book.end(&former);
        }
        book.open += 1;
        drop(book);
        Ok(Place {
            places: self.clone(),
            hash,
            holder,
        })
    }

    /// Whether anybody listens.
    pub(crate) fn any(&self) -> bool {
        self.book().open > 0
    }

    /// Ends the streams of keys that are not good any more. Each key is asked for once, however many streams it has, and all at once: the cache
    /// makes one query of them. One that cannot be looked up is asked for again the next time.
    pub(crate) async fn check_keys(&self, keys: &KeyCache) {
        let holders: Vec<Arc<Holder>> = self.book().by_key.values().cloned().collect();
        let checks = holders.into_iter().map(|holder| async move {
            let found = keys.authenticate(holder.key.expose_secret(), None).await;
            if found.is_ok_and(|operator| operator.as_ref() != Some(&holder.operator)) {
                self.end(&holder);
            }
        });
        join_all(checks).await;
    }

    fn end(&self, holder: &Arc<Holder>) {
        let mut book = self.book();
        book.end(holder);
        book.forget(&hash_key(holder.key.expose_secret()), holder);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Its streams end, and are counted no more: whoever reads nothing may keep them for long.
    fn end(&mut self, holder: &Holder) {
        if !holder.ended.is_cancelled() {
            holder.ended.cancel();
            self.open -= holder.streams.load(Ordering::Relaxed);
        }
    }

    /// Nobody else of this key takes part in it any more.
    fn forget(&mut self, hash: &KeyHash, holder: &Arc<Holder>) {
        if self.by_key.get(hash).is_some_and(|known| Arc::ptr_eq(known, holder)) {
            self.by_key.remove(hash);
        }
    }
}

impl Place {
    /// Waits until the key is not good any more.
    pub async fn ended(&self) {
        self.holder.ended.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut book = self.places.book();
        let is_last = self.holder.streams.fetch_sub(1, Ordering::Relaxed) == 1;
        if self.holder.ended.is_cancelled() {
            return;
        }
        book.open -= 1;
        if is_last {
            book.forget(&self.hash, &self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use vpnmanager_entities::api_key::Role;

    use super::*;
    use crate::domain::scope::Scope;

    fn places(max_streams: u32, max_streams_per_key: u32) -> Places {
        let number = |number| NonZeroU32::new(number).expect("not 0");
        Places::new(EventsConfig {
            max_streams: number(max_streams),
            max_streams_per_key: number(max_streams_per_key),
        })
    }

    fn take(places: &Places, key: &str, role: Role) -> Result<Place, Full> {
        let operator = Operator {
            id: 1,
            name: "somebody".to_owned(),
            role,
            scope: Scope::default(),
        };
        places.take(key.into(), operator)
    }

    #[test]
    fn streams_are_counted_by_key_and_in_all_and_given_back() {
        let places = places(3, 2);
        let first = take(&places, "a", Role::Admin).expect("room");
        let _second = take(&places, "a", Role::Admin).expect("room");
        assert_eq!(take(&places, "a", Role::Admin).err(), Some(Full::Key(2)));
        let _third = take(&places, "b", Role::Admin).expect("room");
        assert_eq!(take(&places, "c", Role::Admin).err(), Some(Full::Service(3)));
        drop(first);
        assert!(take(&places, "a", Role::Admin).is_ok());
        drop((_second, _third));
        assert!(!places.any() && places.book().by_key.is_empty());
    }

    #[test]
    fn a_key_that_may_do_something_else_ends_its_former_streams() {
        let places = places(9, 9);
        let before = take(&places, "a", Role::Admin).expect("room");
        let after = take(&places, "a", Role::Node).expect("room");
        assert!(before.holder.ended.is_cancelled() && !after.holder.ended.is_cancelled());
        drop(before);
        assert_eq!(places.book().by_key.len(), 1);
    }

    #[test]
    fn streams_of_a_key_that_ended_take_no_room_even_if_nobody_reads_them() {
        let places = places(2, 2);
        let unread = [(); 2].map(|()| take(&places, "a", Role::Admin).expect("room"));
        assert_eq!(take(&places, "b", Role::Admin).err(), Some(Full::Service(2)));
        places.end(&unread[0].holder);
        let others = [(); 2].map(|()| take(&places, "b", Role::Admin).expect("room"));
        drop(unread);
        assert_eq!(places.book().open, 2, "each is given back once");
        drop(others);
        assert!(!places.any() && places.book().by_key.is_empty());
    }
}
