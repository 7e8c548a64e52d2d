//! Finds the operator who holds an API key.
//!
//! A key that was right in the last half second, or wrong in the last seconds, is known without the database. All others of a moment are
//! looked up with one query. Whoever tries many keys that nobody has is put into a slower lane, where one query each 100 ms serves all; so are
//! all unknown keys while many callers try them. A right key among them is found too, and is known from then on. A key is found by its hash, so
//! how long an answer takes says nothing of any key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::Utc;
use sea_orm::{ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait, QueryFilter, sea_query::Expr};
use vpnmanager_entities::api_key::{self, Role};
use vpnmanager_openapi::{auth::hash_key, server::Source};
use vpnmanager_runtime::{
    batch::{BatchLimits, Batcher},
    tasks::Tasks,
};

use super::record_uses::KeyUses;
use crate::domain::{key_text::is_mistyped, scope::Scope, source_budget::SourceBudget};

/// How long a right key is known without a query, so also how long a revoked one may still be accepted, by any replica.
pub const RIGHT_FOR: Duration = Duration::from_millis(500);
/// How long a wrong key is, so also how long a new one may be refused that was tried before it existed.
const WRONG_FOR: Duration = Duration::from_secs(5);
/// How long a key that was right stays in the fast lane.
const TRUSTED_FOR: Duration = Duration::from_secs(600);
/// The most wrong keys in the cache. The right ones are no more than there are.
const MOST_REMEMBERED: usize = 4096;
/// The pause before each query of the slower lane.
const SLOW: Duration = Duration::from_millis(100);
/// The most keys in one query.
const BATCH: usize = 1000;
/// Unknown keys of all callers together that are looked up in the fast lane in 10 s.
const UNKNOWN_IN_ALL: u32 = 1000;

/// The holder of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The row of the key.
    pub id: i64,
    /// The key's name.
    pub name: String,
    /// The role of the key, which decides the allowed operations.
    pub role: Role,
    /// What the key is narrowed to.
    pub scope: Scope,
}

/// Why it is not known whether a key is right.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthenticateError {
    /// The database refused the query or did not answer.
    #[error("looking up an API key failed")]
    Database(#[source] Arc<DbErr>),
    /// The process is about to stop.
    #[error("management is stopping")]
    Stopping,
}

/// Looks up keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeyCache {
    known: Arc<Mutex<Known>>,
    /// What callers may look up in the fast lane without having been right.
    tries: Arc<Mutex<Tries>>,
    fast: Lane,
    slow: Lane,
    uses: KeyUses,
}

type KeyHash = [u8; 32];
type Lane = Batcher<KeyHash, Result<Option<Operator>, Arc<DbErr>>>;

/// How many unknown keys may still be looked up at once.
#[derive(Debug)]
struct Tries {
    of_each: SourceBudget,
    of_all: SourceBudget,
}

impl Tries {
    fn spend(&mut self, from: Option<Source>, now: Instant) -> Result<(), Duration> {
        self.of_each.spend(from, now)?;
        self.of_all.spend(None, now)
    }
}

/// The keys that were looked up lately, by their hash.
#[derive(Debug, Default)]
struct Known {
    right: HashMap<KeyHash, (Operator, Instant)>,
    wrong: HashMap<KeyHash, Instant>,
}

/// The lane in which a key is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speed {
    Fast,
    Slow,
}

/// What is known of a key without the database.
#[derive(Debug, PartialEq, Eq)]
enum Memory {
    Right(Operator),
    Wrong,
    /// It was right some minutes ago.
    Trusted,
    Unknown,
}

impl KeyCache {
    /// Starts the two lanes. `unknown_keys`: keys that one caller may have looked up in the fast lane in 10 s.
    pub fn start(tasks: &Tasks, db: &DatabaseConnection, unknown_keys: u32) -> Self {
        let lane = |name, pause| {
            let db = db.clone();
            let limits = BatchLimits {
                batch: BATCH,
                ..BatchLimits::default()
            };
            Batcher::start(tasks, name, limits, move |hashes| {
                let db = db.clone();
                async move {
                    tokio::time::sleep(pause).await;
                    look_up_all(&db, hashes).await
                }
            })
        };
        Self {
            known: Arc::default(),
            tries: Arc::new(Mutex::new(Tries {
                of_each: SourceBudget::new(unknown_keys),
                of_all: SourceBudget::new(UNKNOWN_IN_ALL),
            })),
            fast: lane("look-up-keys", Duration::ZERO),
            slow: lane("look-up-unknown-keys", SLOW),
            uses: KeyUses::default(),
        }
    }

    /// The holder of the key; `None` if it is unknown, was revoked or has expired. The key is found by its hash, so management never compares secrets.
    ///
    /// # Errors
    /// When the key could not be looked up; it may be right.
    pub async fn authenticate(&self, key: &str, from: Option<Source>) -> Result<Option<Operator>, AuthenticateError> {
        if is_mistyped(key) {
            return Ok(None);
        }
        let hash = hash_key(key);
        let asked = Instant::now();
        let speed = match self.known().recall(&hash, asked) {
            Memory::Right(operator) => return Ok(Some(operator)),
            Memory::Wrong => return Ok(None),
            Memory::Trusted => Speed::Fast,
            Memory::Unknown => self.speed_for(from),
        };
        let lane = match speed {
            Speed::Fast => &self.fast,
            Speed::Slow => &self.slow,
        };
        let found = lane.submit(hash).await.map_err(|_closed| AuthenticateError::Stopping)?;
        let found = found.map_err(AuthenticateError::Database)?;
        if found.is_none() && speed == Speed::Slow {
            tokio::time::sleep(own_moment(&hash)).await;
        }
        // From before the query on: what it did not see yet is seen no later for that.
        self.known().remember(hash, found.as_ref(), asked);
        Ok(found)
    }

    /// When keys were used.
    pub fn uses(&self) -> &KeyUses {
        &self.uses
    }

    fn speed_for(&self, from: Option<Source>) -> Speed {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        match tries.spend(from, Instant::now()) {
            Ok(()) => Speed::Fast,
            Err(_until) => Speed::Slow,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn recall(&self, hash: &KeyHash, now: Instant) -> Memory {
        let is_within = |seen: Instant, time: Duration| now.saturating_duration_since(seen) < time;
        match (self.right.get(hash), self.wrong.get(hash)) {
            (Some((operator, seen)), _) if is_within(*seen, RIGHT_FOR) => Memory::Right(operator.clone()),
            (Some((_, seen)), _) if is_within(*seen, TRUSTED_FOR) => Memory::Trusted,
            (_, Some(seen)) if is_within(*seen, WRONG_FOR) => Memory::Wrong,
            (_, _) => Memory::Unknown,
        }
    }

    fn remember(&mut self, hash: KeyHash, found: Option<&Operator>, now: Instant) {
        let Some(operator) = found else {
            self.right.remove(&hash);
            if self.wrong.len() >= MOST_REMEMBERED {
                self.wrong
                    .retain(|_, seen| now.saturating_duration_since(*seen) < WRONG_FOR);
            }
            if self.wrong.len() < MOST_REMEMBERED {
                self.wrong.insert(hash, now);
            }
            return;
        };
        self.wrong.remove(&hash);
        if self.right.len() >= MOST_REMEMBERED {
            self.right
                .retain(|_, (_, seen)| now.saturating_duration_since(*seen) < RIGHT_FOR);
        }
        self.right.insert(hash, (operator.clone(), now));
    }
}

/// How long after the query of the slower lane a wrong key is refused: all refusals of a query at once would delay answers to others. It follows from
/// the hash of what the caller sent, so it tells nothing that he does not know.
fn own_moment(hash: &KeyHash) -> Duration {
    SLOW * u32::from(hash[0]) / 256
}

/// One answer for each key.
async fn look_up_all(db: &DatabaseConnection, hashes: Vec<KeyHash>) -> Vec<Result<Option<Operator>, Arc<DbErr>>> {
    match look_up(db, &hashes).await {
        Ok(found) => hashes
            .iter()
            .map(|hash| Ok(found.get(hash.as_slice()).cloned()))
            .collect(),
        Err(error) => {
            let error = Arc::new(error);
            hashes.iter().map(|_| Err(error.clone())).collect()
        }
    }
}

/// The holders of those keys that are right, by the hash that was asked for: a key that was rotated has two for a while.
async fn look_up(db: &DatabaseConnection, hashes: &[KeyHash]) -> Result<HashMap<Vec<u8>, Operator>, DbErr> {
    let now = Utc::now();
    let asked: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.to_vec()).collect();
    // One parameter, however many keys: so the statement is prepared once.
    let is_asked = |column: &str| Expr::cust_with_values(format!("{column} = ANY($1)"), [asked.clone()]);
    let of_before = Condition::all()
        .add(is_asked("previous_hash"))
        .add(api_key::Column::PreviousValidUntil.gt(now));
    let found = api_key::Entity::find()
        .filter(Condition::any().add(is_asked("hash")).add(of_before))
        .filter(api_key::Column::RevokedAt.is_null())
        .all(db)
        .await?;
    let valid = found.into_iter().filter(|row| row.expires_at.is_none_or(|at| at > now));
    let mut operators = HashMap::new();
    for row in valid {
        let operator = Operator {
            id: row.id,
            name: row.name,
            role: row.role,
            scope: Scope {
                pools: row.pools,
                groups: row.groups,
            },
        };
        if row.previous_valid_until.is_some_and(|until| until > now)
            && let Some(of_before) = row.previous_hash
        {
            operators.insert(of_before, operator.clone());
        }
        operators.insert(row.hash, operator);
    }
    Ok(operators)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_of_one_caller_and_of_all_together_are_bounded() {
        let (now, from) = (Instant::now(), |last: u8| Some(Source::of([192, 0, 2, last].into())));
        let mut tries = Tries {
            of_each: SourceBudget::new(2),
            of_all: SourceBudget::new(3),
        };
        let spent = [1, 1, 1, 2, 3].map(|last| tries.spend(from(last), now).is_ok());
        assert_eq!(spent, [true, true, false, true, false]);
    }

    #[test]
    fn keys_are_remembered_for_seconds_trusted_for_minutes_and_never_too_many() {
        let mut known = Known::default();
        let start = Instant::now();
        let operator = Operator {
            id: 1,
            name: "admin".to_owned(),
            role: Role::Admin,
            scope: Scope::default(),
        };
        known.remember([1; 32], Some(&operator), start);
        known.remember([2; 32], None, start);
        let recall = |known: &Known, key: u8, second| known.recall(&[key; 32], start + Duration::from_secs(second));
        let soon = start + RIGHT_FOR.saturating_sub(Duration::from_millis(1));
        assert_eq!(known.recall(&[1; 32], soon), Memory::Right(operator.clone()));
        assert_eq!(recall(&known, 2, 4), Memory::Wrong);
        assert_eq!(recall(&known, 3, 4), Memory::Unknown);
        assert_eq!(recall(&known, 1, 1), Memory::Trusted);
        assert_eq!(recall(&known, 2, 5), Memory::Unknown);
        assert_eq!(recall(&known, 1, 600), Memory::Unknown);
        known.remember([1; 32], None, start + Duration::from_secs(6));
        assert_eq!(recall(&known, 1, 7), Memory::Wrong, "it was revoked");

        for number in 0..10_000_u32 {
            let mut hash = [9; 32];
            hash[..4].copy_from_slice(&number.to_be_bytes());
            known.remember(hash, None, start);
        }
        assert_eq!(known.wrong.len(), MOST_REMEMBERED);
    }
}
