//! Records when keys were last used, and from where. Requests only note it; a task writes it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use crate::ops::sqlstate::{Meaning, meaning};

/// The keys that were used since they were last recorded. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct KeyUses {
    noted: Arc<Mutex<HashMap<i64, Option<IpAddr>>>>,
}

impl KeyUses {
    /// The key of this row was used from there.
    pub fn note(&self, id: i64, from: Option<IpAddr>) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.insert(id, from);
    }

    /// Records what was noted, of each key at most once a minute, however many replicas it is used at.
    ///
    /// # Errors
    /// Those of the database, except where it takes no changes.
    pub async fn record(&self, db: &DatabaseConnection) -> Result<(), DbErr> {
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        if noted.is_empty() {
            return Ok(());
        }
        let shown = |from: Option<IpAddr>| from.map(|address| address.to_string()).unwrap_or_default();
        let (ids, addresses): (Vec<i64>, Vec<String>) = noted.into_iter().map(|(id, from)| (id, shown(from))).unzip();
        let statement = Statement::from_sql_and_values(
            db.get_database_backend(),
            "UPDATE api_keys k SET last_used_at = now(), last_used_address = NULLIF(u.address, '')::inet
             FROM UNNEST($1::bigint[], $2::text[]) AS u (id, address)
             WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at <= now() - interval '1 minute')",
            [ids.into(), addresses.into()],
        );
        match db.execute_raw(statement).await {
            Ok(_written) => Ok(()),
            // A database that takes no changes can still be read.
            Err(error) if meaning(&error) == Meaning::ReadOnly => Ok(()),
            Err(error) => Err(error),
        }
    }
}
