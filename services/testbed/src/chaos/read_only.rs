//! PostgreSQL as a standby is: it answers, and takes no changes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::ConnectionTrait;

use super::inventory;

/// Every session has heard of it after this time.
const HEARD: Duration = Duration::from_secs(1);

/// Since when the database has taken no changes. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadOnly {
    from: Arc<Mutex<Option<Instant>>>,
}

impl ReadOnly {
    /// Since when no session could change anything; `None` if one could. Another answer later means that it could meanwhile.
    pub(super) fn since(&self) -> Option<Instant> {
        self.from().filter(|from| *from <= Instant::now())
    }

    /// Lets the database take no changes. After an error it may take some.
    pub(super) async fn begin(&self, url: &str) -> anyhow::Result<()> {
        set(url, "SET default_transaction_read_only = on").await?;
        *self.from() = Some(Instant::now() + HEARD);
        Ok(())
    }

    /// Lets it take changes again.
    pub(super) async fn end(&self, url: &str) -> anyhow::Result<()> {
        *self.from() = None;
        set(url, "RESET default_transaction_read_only").await
    }

    fn from(&self) -> MutexGuard<'_, Option<Instant>> {
        self.from.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn set(url: &str, what: &str) -> anyhow::Result<()> {
    let db = inventory::connect_to(url).await?;
    db.execute_unprepared(&format!("ALTER SYSTEM {what}")).await?;
    db.execute_unprepared("SELECT pg_reload_conf()").await?;
    db.close().await?;
    Ok(())
}
