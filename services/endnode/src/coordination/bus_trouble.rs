//! Why the bus cannot be used, as far as is known.

use std::sync::Arc;

use tokio::sync::watch;
use vpnmanager_nats::endpoint::BusPlace;

/// What the last try of the bus showed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BusTrouble {
    place: Arc<str>,
    cause: watch::Sender<Option<Cause>>,
}

/// Why a try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The bus does not let this node in, for this reason.
    Refused(String),
    /// There was no connection, for this reason.
    Unreachable(String),
}

impl BusTrouble {
    /// Of the bus at this place, of which nothing is known yet.
    pub fn new(place: &BusPlace) -> Self {
        Self {
            place: place.shown().into(),
            cause: watch::Sender::default(),
        }
    }

    /// Notes what the last try showed; `None`: nothing is wrong.
    pub fn set(&self, cause: Option<Cause>) {
        self.cause.send_replace(cause);
    }

    /// What is wrong while there is no connection, and what to do, in words.
    pub fn text(&self) -> String {
        let place = &self.place;
        let cause = match &*self.cause.borrow() {
            Some(Cause::Refused(reason)) => {
                return format!(
                    "the bus at {place} refuses this node ({reason}), and management does not say that it was deregistered; it goes on serving \
                     with what it holds, and hears of no change. See what management's GET /api/endnodes says of it"
                );
            }
            Some(Cause::Unreachable(reason)) => format!(" ({reason})"),
            None => String::new(),
        };
        format!(
            "the bus at {place} is not connected{cause}; the node goes on serving with what it holds, and hears of no change. See that \
             nats-server runs there and that this machine reaches it; where the address is wrong, set BUS_PUBLIC_URLS of management"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_place_and_the_cause_and_what_to_look_at() {
        let place = BusPlace {
            urls: vec!["tls://bus.example:4222".to_owned()],
            ca: None,
        };
        let trouble = BusTrouble::new(&place);
        let unknown = trouble.text();
        assert!(
            unknown.starts_with("the bus at tls://bus.example:4222 is not connected; "),
            "{unknown}"
        );
        trouble.set(Some(Cause::Unreachable("connection refused".to_owned())));
        let away = trouble.text();
        assert!(
            away.contains("is not connected (connection refused); ") && away.contains("nats-server runs there"),
            "{away}"
        );
        trouble.set(Some(Cause::Refused("authorization violation".to_owned())));
        let refused = trouble.text();
        assert!(
            refused.contains("refuses this node (authorization violation)"),
            "{refused}"
        );
        trouble.set(None);
        assert_eq!(trouble.text(), unknown);
    }
}
