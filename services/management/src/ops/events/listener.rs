//! One who listens: reads the trail up to where the others are, and then hears what they hear.

use std::{sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbErr};
use secrecy::SecretString;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tracing::warn;
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use super::{
    event::Event,
    feed::{Batch, Feed},
    filter::EventFilter,
    places::{Full, Place},
    read,
};
use crate::ops::keys::authenticate::Operator;

/// The pause after the trail could not be read.
const PAUSE: Duration = Duration::from_secs(1);

static NOT_READ: LogLimit = LogLimit::new("a listener could not read the audit trail");

/// One who listens. Nothing is kept for one that is slow: it reads the trail by itself when it goes on.
#[derive(Debug)]
pub struct Listener {
    /// Its right to listen.
    pub place: Place,
    /// What it hears.
    pub hearing: Hearing,
}

/// What a listener has heard, and where the rest comes from.
#[derive(Debug)]
pub struct Hearing {
    feed: Feed,
    db: DatabaseConnection,
    live: Receiver<Arc<Batch>>,
    filter: EventFilter,
    /// All events up to this id are told, or do not match.
    position: i64,
    /// It missed something of what was told to all.
    is_behind: bool,
}

/// Why somebody may not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Too many do.
    #[error(transparent)]
    Full(#[from] Full),
    /// It is not known yet how far the trail goes.
    #[error("management has just started, and does not know yet how far the audit trail goes; try again")]
    TooEarly,
    /// The database did not say how far the trail goes.
    #[error("reading the end of the audit trail failed")]
    Database(#[from] DbErr),
}

impl Listener {
    /// Listens with this key, to events after that id, or from now on. An id beyond the end of the trail is of a trail that is gone: one that a
    /// restored backup does not have. Then it is from now on, too.
    pub async fn begin(
        feed: &Feed,
        db: &DatabaseConnection,
        (key, operator): (SecretString, Operator),
        (filter, after): (EventFilter, Option<i64>),
    ) -> Result<Self, ListenError> {
        // Before the end is looked up, so that nothing falls between.
        let (place, live) = feed.join(key, operator)?;
        let settled = feed.settled_soon().await.ok_or(ListenError::TooEarly)?;
        let position = match after {
            Some(after) if after > settled => {
                // Another replica may be ahead.
                let newest = read::newest_ids(db, 1).await?;
                let is_there = newest.first().is_some_and(|newest| *newest >= after);
                if is_there { after } else { settled }
            }
            Some(after) => after,
            None => settled,
        };
        let hearing = Hearing {
            feed: feed.clone(),
            db: db.clone(),
            live,
            filter,
            position,
            is_behind: true,
        };
        Ok(Self { place, hearing })
    }
}

impl Hearing {
    /// All events up to this id are told, or do not match.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The next events, in the order of their ids, at least one. Whoever gives up waiting loses none.
    pub async fn next(&mut self) -> Vec<Arc<Event>> {
        loop {
            let heard = if self.is_behind {
                self.catch_up().await
            } else {
                Ok(self.hear().await)
            };
            match heard {
                Ok(events) if events.is_empty() => {}
                Ok(events) => return events,
                Err(error) => {
                    if let Some(times) = NOT_READ.admit() {
                        warn!(error = %chain(&error), times, "A listener could not read the audit trail, trying again");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn catch_up(&mut self) -> Result<Vec<Arc<Event>>, DbErr> {
        let settled = self.feed.settled().await;
        if self.position >= settled {
            self.is_behind = false;
            return Ok(Vec::new());
        }
        let _turn = self.feed.turn().await;
        let found = read::matching(&self.db, &self.filter, self.position, settled).await?;
        self.position = found.upto;
        Ok(found.events)
    }

    async fn hear(&mut self) -> Vec<Arc<Event>> {
        let batch = match self.live.recv().await {
            Ok(batch) => batch,
            Err(RecvError::Lagged(_)) => {
                self.is_behind = true;
                return Vec::new();
            }
            // The sender lives as long as the feed.
            Err(RecvError::Closed) => std::future::pending().await,
        };
        if batch.upto <= self.position {
            return Vec::new();
        }
        match &batch.events {
            Some(events) if batch.after <= self.position => {
                let told = self.position;
                self.position = batch.upto;
                let new = events.iter().filter(|event| event.id > told);
                new.filter(|event| self.filter.matches(event)).cloned().collect()
            }
            Some(_) | None => {
                self.is_behind = true;
                Vec::new()
            }
        }
    }
}
