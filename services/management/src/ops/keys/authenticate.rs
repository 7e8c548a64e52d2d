//! Finds the operator who holds an API key.
//!
//! A key that was right, or wrong, in the last seconds is known without the database. All others of a moment are looked up with one
//! query. Whoever tries many keys that nobody has is put into a slower lane, where one query each 100 ms serves all; a right key among
//! them is found too, and is known from then on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::api_key::{self, Role};
use vpnmanager_openapi::{auth::hash_key, server::Source};
use vpnmanager_runtime::{
    batch::{BatchLimits, Batcher},
    tasks::Tasks,
};

use crate::{
    domain::source_budget::SourceBudget,
    ops::sqlstate::{Meaning, meaning},
};

/// How long a key is cached, so also how long a revoked key may still be accepted, and a new one refused that was tried before it existed.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
/// How long a key that was right stays in the fast lane.
const TRUSTED_FOR: Duration = Duration::from_secs(600);
/// The most wrong keys in the cache. The right ones are no more than there are.
const MOST_REMEMBERED: usize = 4096;
/// The pause before each query of the slower lane.
const SLOW: Duration = Duration::from_millis(100);
/// The most keys in one query.
const BATCH: usize = 1000;
/// The precision of `last_used_at`.
const USE_RESOLUTION: TimeDelta = TimeDelta::seconds(60);

/// The holder of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The key's name.
    pub name: String,
    /// The role of the key, which decides the allowed operations.
    pub role: Role,
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
    tries: Arc<Mutex<SourceBudget>>,
    fast: Lane,
    slow: Lane,
}

type KeyHash = [u8; 32];
type Lane = Batcher<KeyHash, Result<Option<Operator>, Arc<DbErr>>>;

/// The keys that were looked up lately, by their hash.
#[derive(Debug, Default)]
struct Known {
    right: HashMap<KeyHash, (Operator, Instant)>,
    wrong: HashMap<KeyHash, Instant>,
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
            tries: Arc::new(Mutex::new(SourceBudget::new(unknown_keys))),
            fast: lane("look-up-keys", Duration::ZERO),
            slow: lane("look-up-unknown-keys", SLOW),
        }
    }

    /// The holder of the key; `None` if it is unknown or has expired. The key is found by its hash, so management never compares secrets.
    ///
    /// # Errors
    /// When the key could not be looked up; it may be right.
    pub async fn authenticate(&self, key: &str, from: Option<Source>) -> Result<Option<Operator>, AuthenticateError> {
        let hash = hash_key(key);
        let lane = match self.known().recall(&hash, Instant::now()) {
            Memory::Right(operator) => return Ok(Some(operator)),
            Memory::Wrong => return Ok(None),
            Memory::Trusted => &self.fast,
            Memory::Unknown => self.lane_of(from),
        };
        let found = lane.submit(hash).await.map_err(|_closed| AuthenticateError::Stopping)?;
        let found = found.map_err(AuthenticateError::Database)?;
        self.known().remember(hash, found.as_ref(), Instant::now());
        Ok(found)
    }

    fn lane_of(&self, from: Option<Source>) -> &Lane {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        match tries.spend(from, Instant::now()) {
            Ok(()) => &self.fast,
            Err(_until) => &self.slow,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn recall(&self, hash: &KeyHash, now: Instant) -> Memory {
        let is_fresh = |seen: Instant| now.saturating_duration_since(seen) < REMEMBERED_FOR;
        match (self.right.get(hash), self.wrong.get(hash)) {
            (Some((operator, seen)), _) if is_fresh(*seen) => Memory::Right(operator.clone()),
            (Some((_, seen)), _) if now.saturating_duration_since(*seen) < TRUSTED_FOR => Memory::Trusted,
            (_, Some(seen)) if is_fresh(*seen) => Memory::Wrong,
            (_, _) => Memory::Unknown,
        }
    }

    fn remember(&mut self, hash: KeyHash, found: Option<&Operator>, now: Instant) {
        let Some(operator) = found else {
            self.right.remove(&hash);
            if self.wrong.len() >= MOST_REMEMBERED {
                self.wrong
                    .retain(|_, seen| now.saturating_duration_since(*seen) < REMEMBERED_FOR);
            }
            if self.wrong.len() < MOST_REMEMBERED {
                self.wrong.insert(hash, now);
            }
            return;
        };
        self.wrong.remove(&hash);
        if self.right.len() >= MOST_REMEMBERED {
            self.right
                .retain(|_, (_, seen)| now.saturating_duration_since(*seen) < REMEMBERED_FOR);
        }
        self.right.insert(hash, (operator.clone(), now));
    }
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

async fn look_up(db: &DatabaseConnection, hashes: &[KeyHash]) -> Result<HashMap<Vec<u8>, Operator>, DbErr> {
    let now = Utc::now();
    let found = api_key::Entity::find()
        .filter(api_key::Column::Hash.is_in(hashes.iter().map(|hash| hash.to_vec())))
        .all(db)
        .await?;
    let valid: Vec<api_key::Model> = found
        .into_iter()
        .filter(|row| row.expires_at.is_none_or(|at| at > now))
        .collect();
    let used: Vec<i64> = valid
        .iter()
        .filter(|row| row.last_used_at.is_none_or(|at| now - at > USE_RESOLUTION))
        .map(|row| row.id)
        .collect();
    if !used.is_empty() {
        let noted = api_key::Entity::update_many()
            .col_expr(api_key::Column::LastUsedAt, Expr::value(now))
            .filter(Expr::col(api_key::Column::Id).is_in(used))
            .exec(db)
            .await;
        // A database that takes no changes can still be read.
        if let Err(error) = noted
            && meaning(&error) != Meaning::ReadOnly
        {
            return Err(error);
        }
    }
    let operators = valid.into_iter().map(|row| {
        let operator = Operator {
            name: row.name,
            role: row.role,
        };
        (row.hash, operator)
    });
    Ok(operators.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_remembered_for_seconds_trusted_for_minutes_and_never_too_many() {
        let mut known = Known::default();
        let start = Instant::now();
        let operator = Operator {
            name: "admin".to_owned(),
            role: Role::Admin,
        };
        known.remember([1; 32], Some(&operator), start);
        known.remember([2; 32], None, start);
        let recall = |known: &Known, key: u8, second| known.recall(&[key; 32], start + Duration::from_secs(second));
        assert_eq!(recall(&known, 1, 4), Memory::Right(operator.clone()));
        assert_eq!(recall(&known, 2, 4), Memory::Wrong);
        assert_eq!(recall(&known, 3, 4), Memory::Unknown);
        assert_eq!(recall(&known, 1, 5), Memory::Trusted);
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
