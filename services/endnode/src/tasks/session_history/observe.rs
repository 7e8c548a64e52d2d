//! Compares a look at who is connected with what was known before.

use std::{collections::BTreeMap, mem, time::Duration};

use tokio::time::Instant;
use vpnmanager_nats::{
    node_requests::LiveSession,
    sessions::{EndKind, Ended, SessionRecord},
};

use super::moment::Moment;
use crate::backend::{Look, SessionKey};

/// The longest time between two looks after which an end between them counts as seen.
const WATCHED: Duration = Duration::from_secs(5);
/// Between two reports of a session of which nothing changes but its bytes.
const PROGRESS: Duration = Duration::from_mins(5);
/// The same where the bytes count against a quota.
const METERED: Duration = Duration::from_secs(5);
/// If so many are new in both directions together. Fewer wait with the rest.
const METERED_BYTES: u64 = 256 * 1024;

/// The sessions whose end is not known.
#[derive(Debug)]
pub(super) struct OpenSessions {
    sessions: BTreeMap<SessionKey, Open>,
}

#[derive(Debug)]
struct Open {
    record: SessionRecord,
    /// The last look of this run of the agent that found it.
    looked_at: Option<Instant>,
    /// When it was last given to be reported.
    told_at: Instant,
    /// How many bytes it had then, in both directions together.
    told_bytes: u64,
    /// When it was last given by [`OpenSessions::busy`].
    weighed_at: Instant,
}

impl OpenSessions {
    /// As an earlier run of the agent left them. Those that the first look does not find have ended unseen.
    pub(super) fn new(records: Vec<SessionRecord>, now: Instant) -> Self {
        let open = |record: SessionRecord| {
            let open = Open {
                record,
                looked_at: None,
                told_at: now,
                // How much of it that run has told is not known.
                told_bytes: 0,
                weighed_at: now,
            };
            (key_of(&open.record), open)
        };
        Self {
            sessions: records.into_iter().map(open).collect(),
        }
    }

    /// Takes a look that was made at the moment `now`, and gives what is to be reported: sessions that began, those whose addresses or
    /// client became known or changed, and those that ended. Sessions of certificates that are none of ours are left out, and clients that
    /// OpenVPN has not let in: one that it refused stands in its list for 5 s more. What is on a server that could not be asked stays as it is
    /// known: nobody has left there, and nobody was seen.
    pub(super) fn observe(&mut self, look: Look, now: Moment) -> Vec<SessionRecord> {
        let known = mem::take(&mut self.sessions).into_iter();
        let (unseen, mut gone): (BTreeMap<_, _>, BTreeMap<_, _>) = known.partition(|(key, _)| look.is_unasked(*key));
        self.sessions = unseen;
        let mut news = Vec::new();
        for session in look.told() {
            let (key, is_established) = (session.key(), session.is_established);
            let Some(session) = session.live() else { continue };
            let (open, is_news) = match gone.remove(&key) {
                Some(known) => known.seen_again(session, now),
                None if is_established => (Open::first_seen(session, now), true),
                None => continue,
            };
            if is_news {
                news.push(open.record.clone());
            }
            self.sessions.insert(key, open);
        }
        news.extend(gone.into_values().map(|open| open.ended(now)));
        news
    }

    /// The sessions that live, and whether it is time to report how far they are.
    pub(super) fn living(&self, now: Instant) -> impl Iterator<Item = (&SessionRecord, bool)> {
        self.sessions.values().map(move |open| (&open.record, open.is_due(now)))
    }

    /// Those whose time it was are given to be reported.
    pub(super) fn told(&mut self, now: Instant) {
        for open in self.sessions.values_mut() {
            if open.is_due(now) {
                open.tell(now);
            }
        }
    }

    /// The sessions that transferred so much since they were told that it is to be told if it counts against a quota. Each is given once in five
    /// seconds: whether it counts has to be looked up.
    pub(super) fn busy(&mut self, now: Instant) -> Vec<SessionRecord> {
        let mut busy = Vec::new();
        for open in self.sessions.values_mut() {
            if open.is_busy(now) {
                open.weighed_at = now;
                busy.push(open.record.clone());
            }
        }
        busy
    }

    /// These are given to be reported.
    pub(super) fn told_of(&mut self, keys: impl IntoIterator<Item = SessionKey>, now: Instant) {
        for key in keys {
            if let Some(open) = self.sessions.get_mut(&key) {
                open.tell(now);
            }
        }
    }
}

impl Open {
    fn first_seen(session: LiveSession, now: Moment) -> Self {
        let seen_at = now.time.max(session.since);
        Self {
            told_bytes: bytes(&session),
            weighed_at: now.instant,
            record: SessionRecord {
                session,
                seen_at,
                ended: None,
            },
            looked_at: Some(now.instant),
            told_at: now.instant,
        }
    }

    /// What an earlier look, or an earlier run of the agent, knew of it stays known.
    fn seen_again(self, session: LiveSession, now: Moment) -> (Self, bool) {
        let known = self.record.session;
        let session = LiveSession {
            virtual_address: session.virtual_address.or_else(|| known.virtual_address.clone()),
            virtual_address6: session.virtual_address6.or_else(|| known.virtual_address6.clone()),
            client_version: session.client_version.or_else(|| known.client_version.clone()),
            client_platform: session.client_platform.or_else(|| known.client_platform.clone()),
            bytes_in: session.bytes_in.max(known.bytes_in),
            bytes_out: session.bytes_out.max(known.bytes_out),
            ..session
        };
        let is_news = who(&session) != who(&known);
        let (told_at, told_bytes) = if is_news {
            (now.instant, bytes(&session))
        } else {
            (self.told_at, self.told_bytes)
        };
        let seen = Self {
            record: SessionRecord {
                session,
                // The clock of the machine may be set back.
                seen_at: now.time.max(self.record.seen_at),
                ended: None,
            },
            looked_at: Some(now.instant),
            told_at,
            told_bytes,
            weighed_at: self.weighed_at,
        };
        (seen, is_news)
    }

    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.told_at) >= PROGRESS
    }

    fn is_busy(&self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.told_at.max(self.weighed_at));
        let new = bytes(&self.record.session).saturating_sub(self.told_bytes);
        since >= METERED && new >= METERED_BYTES
    }

    fn tell(&mut self, now: Instant) {
        self.told_at = now;
        self.told_bytes = bytes(&self.record.session);
    }

    /// The last record of a session that is gone at the look of `now`. If its end was not seen, it lies between the time that it was last seen
    /// alive and now.
    fn ended(self, now: Moment) -> SessionRecord {
        let since_last = self
            .looked_at
            .map(|looked_at| now.instant.saturating_duration_since(looked_at));
        let kind = match since_last {
            Some(gap) if gap <= WATCHED => EndKind::Seen,
            Some(_) | None => EndKind::Assumed,
        };
        let seen_at = now.time.max(self.record.seen_at);
        let at = match kind {
            EndKind::Seen => seen_at,
            EndKind::Assumed => self.record.seen_at,
        };
        SessionRecord {
            seen_at,
            ended: Some(Ended { at, kind }),
            ..self.record
        }
    }
}

fn bytes(session: &LiveSession) -> u64 {
    session.bytes_in.saturating_add(session.bytes_out)
}

/// What names a session among those of its node.
pub(super) fn key_of(record: &SessionRecord) -> SessionKey {
    SessionKey {
        since: record.session.since,
        cid: record.session.cid.unwrap_or_default(),
    }
}

/// What is told of a session at once when it changes.
fn who(session: &LiveSession) -> [Option<&str>; 5] {
    [
        Some(session.real_address.as_str()),
        session.virtual_address.as_deref(),
        session.virtual_address6.as_deref(),
        session.client_version.as_deref(),
        session.client_platform.as_deref(),
    ]
}

#[cfg(test)]
mod tests;
