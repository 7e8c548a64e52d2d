//! How many answers are kept for one API key, so that none fills the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement, Value};

use super::times::KNOWN_FOR;

/// The most requests of one API key that are known.
pub const MOST: i64 = 100_000;

/// The most bytes of their answers.
pub const MOST_BYTES: i64 = 256 << 20;

/// How long a count is used; requests that this replica adds are counted on. Others may add some beyond the bound meanwhile.
const COUNTED_FOR: Duration = Duration::from_secs(10);

const COUNT: &str = "
    SELECT count(*) AS requests, coalesce(sum(octet_length(answer)), 0)::bigint AS bytes
    FROM idempotency_keys WHERE caller = $1 AND created_at > now() - make_interval(secs => $2)";

/// What is known of the room of each API key. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Room {
    counts: Arc<Mutex<HashMap<String, Count>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
struct Used {
    requests: i64,
    bytes: i64,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    used: Used,
    at: Instant,
}

impl Room {
    /// Whether there is room for one more request of this API key.
    pub async fn has_room(&self, db: &DatabaseConnection, caller: &str) -> Result<bool, DbErr> {
        if let Some(used) = self.take(caller, Instant::now()) {
            return Ok(used.is_below_bound());
        }
        let used = count(db, caller).await?;
        self.note(caller, used, Instant::now());
        Ok(used.is_below_bound())
    }

    /// What is used, if that was counted lately, and counts one more.
    fn take(&self, caller: &str, now: Instant) -> Option<Used> {
        let mut counts = self.counts();
        let count = counts.get_mut(caller)?;
        if now.saturating_duration_since(count.at) >= COUNTED_FOR {
            // One request counts again, which reads each of its rows; those that come meanwhile go on with what was counted.
            count.at = now;
            return None;
        }
        let used = count.used;
        count.used.requests += 1;
        Some(used)
    }

    fn note(&self, caller: &str, used: Used, now: Instant) {
        let mut counts = self.counts();
        counts.retain(|_, count| now.saturating_duration_since(count.at) < COUNTED_FOR);
        let used = Used {
            requests: used.requests + 1,
            ..used
        };
        counts.insert(caller.to_owned(), Count { used, at: now });
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn is_below_bound(self) -> bool {
        self.requests < MOST && self.bytes < MOST_BYTES
    }
}

async fn count(db: &DatabaseConnection, caller: &str) -> Result<Used, DbErr> {
    let values: [Value; 2] = [caller.into(), KNOWN_FOR.as_secs_f64().into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), COUNT, values);
    let used = Used::find_by_statement(statement).one(db).await?;
    Ok(used.unwrap_or(Used { requests: 0, bytes: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_used_for_seconds_and_goes_on_meanwhile() {
        let (room, start) = (Room::default(), Instant::now());
        assert_eq!(room.take("ci", start), None);
        let used = |requests| Used { requests, bytes: 5 };
        room.note("ci", used(7), start);
        assert_eq!(room.take("ci", start), Some(used(8)));
        assert_eq!(room.take("ci", start), Some(used(9)));
        assert_eq!(room.take("other", start), None);
        assert_eq!(room.take("ci", start + COUNTED_FOR), None);
        assert_eq!(
            room.take("ci", start + COUNTED_FOR),
            Some(used(10)),
            "one counts for all"
        );
        room.note("other", used(0), start + COUNTED_FOR * 2);
        assert_eq!(room.counts().len(), 1, "the old count is forgotten");
    }

    #[test]
    fn requests_and_bytes_have_a_bound() {
        for (requests, bytes, has_room) in [
            (0, 0, true),
            (MOST - 1, MOST_BYTES - 1, true),
            (MOST, 0, false),
            (1, MOST_BYTES, false),
        ] {
            assert_eq!(
                Used { requests, bytes }.is_below_bound(),
                has_room,
                "{requests} {bytes}"
            );
        }
    }
}
