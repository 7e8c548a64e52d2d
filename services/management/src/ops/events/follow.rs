//! Follows the audit trail: one reader for all who listen.

use std::{sync::Arc, time::Duration};

use sea_orm::DbErr;
use vpnmanager_entities::audit_log;

use super::{
    event::Event,
    feed::{Batch, Feed},
    read,
    tail::Tail,
};
use crate::app::App;

/// Ids below the newest one that are looked through at the start. An entry that comes later than as many others were numbered is before the start for
/// whoever listens from now on.
const LOOK_BACK: u64 = 256;
/// How soon to look again while somebody may bring what is missing.
const AGAIN_SOON: Duration = Duration::from_millis(20);
/// How often to look while somebody listens.
const WHILE_HEARD: Duration = Duration::from_millis(250);

/// Follows the trail.
#[derive(Debug, Default)]
pub struct Follower {
    tail: Option<Tail>,
    /// The newest id at the start: until the trail is complete up to it, nobody is told where it ends.
    newest_at_start: i64,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// After this time; `None`: nobody waits for anything.
    pub again_after: Option<Duration>,
    /// Whether there is something new.
    pub found: bool,
}

/// What was read: whole where somebody listens.
enum Read {
    Entries(Vec<audit_log::Model>),
    Ids(Vec<i64>),
}

impl Follower {
    /// Tells everything of the trail that is complete and was not told.
    ///
    /// # Errors
    /// Those of the database. What was not told is told the next time.
    pub async fn look(&mut self, app: &App) -> Result<Look, DbErr> {
        let feed = &app.events;
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => self.begin(app).await?,
        };
        let outcome = self.advance(app, &mut tail).await;
        let awaits = tail.is_open();
        self.tail = Some(tail);
        let found = outcome?;
        let again_after = match (awaits, feed.has_listeners()) {
            (true, _) => Some(AGAIN_SOON),
            (false, true) => Some(WHILE_HEARD),
            (false, false) => None,
        };
        Ok(Look { again_after, found })
    }

    async fn begin(&mut self, app: &App) -> Result<Tail, DbErr> {
        let newest = read::newest_ids(&app.db, LOOK_BACK).await?;
        self.newest_at_start = newest.first().copied().unwrap_or_default();
        let oldest = newest.last().copied().unwrap_or(1);
        Ok(Tail::after(oldest - 1))
    }

    /// Whether there was something new.
    async fn advance(&self, app: &App, tail: &mut Tail) -> Result<bool, DbErr> {
        let mut found = false;
        loop {
            if tail.awaits_writers() {
                tail.still_write(&read::writers(&app.db).await?);
            }
            let after = tail.settled();
            let read = Read::above(app, after).await?;
            let ids = read.ids();
            let taken = tail.take(&ids);
            self.tell(&app.events, after, tail, read.events(taken));
            found |= taken > 0;
            let is_page_full = ids.len() as u64 >= read::PAGE;
            match ids.last() {
                Some(_) if taken == ids.len() && is_page_full => {}
                Some(last) if taken < ids.len() && !tail.is_open() => {
                    // After the entries were seen, so that whoever has a smaller id is among these or has ended.
                    tail.missing_below(*last, read::writers(&app.db).await?);
                }
                Some(_) | None => return Ok(found),
            }
        }
    }

    fn tell(&self, feed: &Feed, after: i64, tail: &Tail, events: Option<Vec<Arc<Event>>>) {
        let upto = tail.settled();
        if upto < self.newest_at_start {
            return;
        }
        if upto > after {
            feed.tell(Batch { after, upto, events });
        } else {
            feed.settle(upto);
        }
    }
}

impl Read {
    async fn above(app: &App, id: i64) -> Result<Self, DbErr> {
        if app.events.has_listeners() {
            read::entries_above(&app.db, id).await.map(Self::Entries)
        } else {
            read::ids_above(&app.db, id).await.map(Self::Ids)
        }
    }

    fn ids(&self) -> Vec<i64> {
        match self {
            Self::Entries(entries) => entries.iter().map(|entry| entry.id).collect(),
            Self::Ids(ids) => ids.clone(),
        }
    }

    /// The events of the first entries.
    fn events(&self, taken: usize) -> Option<Vec<Arc<Event>>> {
        match self {
            Self::Entries(entries) => {
                let first = entries.iter().take(taken);
                Some(first.map(|entry| Arc::new(Event::of(entry))).collect())
            }
            Self::Ids(_) => None,
        }
    }
}
