//! Whether management answers over the bus, and where it says that the bus is.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};
use vpnmanager_nats::endpoint::BusPlace;

/// What the handshakes show of the way to management. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Contact {
    unanswered_since: watch::Sender<Option<Instant>>,
    told: watch::Sender<Option<BusPlace>>,
}

impl Contact {
    /// Management answered a handshake, and said where the bus is.
    pub fn answered(&self, place: Option<BusPlace>) {
        self.unanswered_since.send_replace(None);
        self.hear(place);
    }

    /// Management said where the bus is, over the bus or over HTTP. What it says last counts.
    pub fn hear(&self, place: Option<BusPlace>) {
        if place.is_some() {
            self.told.send_if_modified(|told| {
                let differs = *told != place;
                if differs {
                    *told = place;
                }
                differs
            });
        }
    }

    /// Management did not answer a handshake.
    pub fn unanswered(&self) {
        self.unanswered_since
            .send_modify(|since| *since = since.or_else(|| Some(Instant::now())));
    }

    /// For how long it has answered none.
    pub fn unanswered_for(&self) -> Duration {
        self.unanswered_since
            .borrow()
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Where it said last that the bus is.
    pub fn told(&self) -> watch::Receiver<Option<BusPlace>> {
        self.told.subscribe()
    }
}
