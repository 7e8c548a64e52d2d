//! Deleting what the journal need not keep for ever.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tracing::info;

use crate::journal::{Journal, JournalError};

/// Between two runs.
pub const PERIOD: Duration = Duration::from_secs(60 * 60);
/// A tombstone in the stream lives 90 days; no command older than that can come.
const TOMBSTONES_KEPT: TimeDelta = TimeDelta::days(100);

/// Forgets old tombstones.
pub async fn forget_tombstones(journal: Journal) -> Result<(), JournalError> {
    let before = Utc::now() - TOMBSTONES_KEPT;
    let forgotten = journal.write(move |records| records.forget_tombstones(before)).await?;
    if forgotten > 0 {
        info!(users = forgotten, "Forgot users that were removed long ago");
    }
    Ok(())
}
