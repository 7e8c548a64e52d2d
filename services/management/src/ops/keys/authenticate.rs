//! Finds the operator who holds an API key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use sea_orm::{
    DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::api_key::{self, Role};

use vpnmanager_openapi::auth::hash_key;

/// How long a key is cached, so also how long a revoked key may still be accepted.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
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

/// Caches keys by their hash, so that not every request reads the database.
#[derive(Debug, Clone, Default)]
pub struct KeyCache {
    known: Arc<Mutex<HashMap<KeyHash, Seen>>>,
}

type KeyHash = Vec<u8>;
/// The holder of the key, and when that was read from the database.
type Seen = (Operator, Instant);

impl KeyCache {
    /// The holder of the key; `None` if it is unknown or has expired. The key is found by its hash, so management never compares secrets.
    pub async fn authenticate(&self, db: &DatabaseConnection, key: &str) -> Result<Option<Operator>, DbErr> {
        let hash = hash_key(key).to_vec();
        if let Some(operator) = self.get(&hash) {
            return Ok(Some(operator));
        }
        let found = look_up(db, &hash).await?;
        if let Some(operator) = &found {
            self.put(hash, operator.clone());
        }
        Ok(found)
    }

    fn get(&self, hash: &[u8]) -> Option<Operator> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (operator, seen) = known.get(hash)?;
        (seen.elapsed() < REMEMBERED_FOR).then(|| operator.clone())
    }

    fn put(&self, hash: Vec<u8>, operator: Operator) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, seen)| seen.elapsed() < REMEMBERED_FOR);
        known.insert(hash, (operator, Instant::now()));
    }
}

async fn look_up(db: &DatabaseConnection, hash: &[u8]) -> Result<Option<Operator>, DbErr> {
    let now = Utc::now();
    let found = api_key::Entity::find()
        .filter(api_key::COLUMN.hash.eq(hash.to_vec()))
        .one(db)
        .await?;
    let Some(row) = found.filter(|row| row.expires_at.is_none_or(|at| at > now)) else {
        return Ok(None);
    };
    if row.last_used_at.is_none_or(|at| now - at > USE_RESOLUTION) {
        api_key::Entity::update_many()
            .col_expr(api_key::Column::LastUsedAt, Expr::value(now))
            .filter(Expr::col(api_key::Column::Id).eq(row.id))
            .exec(db)
            .await?;
    }
    Ok(Some(Operator {
        name: row.name,
        role: row.role,
    }))
}
