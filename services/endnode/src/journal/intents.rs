//! Local requests that wait for management.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use vpnmanager_nats::{
    ids::IntentId,
    intents::{Intent, IntentAction},
    username::Username,
};

use super::{
    columns::{from_json, json, micros},
    error::JournalError,
    records::Records,
};

/// A refused request stays visible this long.
const REFUSED_KEPT: chrono::TimeDelta = chrono::TimeDelta::hours(24);

/// One local request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedIntent {
    /// What was asked.
    pub intent: Intent,
    /// How often it was sent.
    pub attempts: u32,
    /// Why management refused it, if it did.
    pub refused: Option<String>,
}

impl Records<'_> {
    /// Queues a local request.
    pub fn queue_intent(&self, intent: &Intent, now: DateTime<Utc>) -> Result<(), JournalError> {
        let insert = "INSERT INTO intents (id, intent, changed_at) VALUES (?1, ?2, ?3)";
        let row = params![intent.id.to_string(), json(intent, "an intent")?, micros(now)];
        self.connection.prepare_cached(insert)?.execute(row)?;
        let forget = "DELETE FROM intents WHERE refused IS NOT NULL AND changed_at < ?1";
        self.connection
            .prepare_cached(forget)?
            .execute([micros(now - REFUSED_KEPT)])?;
        Ok(())
    }

    /// All requests in the order they were made, the refused ones of the last day among them.
    pub fn intents(&self) -> Result<Vec<QueuedIntent>, JournalError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM intents ORDER BY number")?;
        let mut rows = statement.query([])?;
        let mut intents = Vec::new();
        while let Some(row) = rows.next()? {
            intents.push(read(row)?);
        }
        Ok(intents)
    }

    /// The oldest request that waits.
    pub fn next_intent(&self) -> Result<Option<QueuedIntent>, JournalError> {
        let select = "SELECT * FROM intents WHERE refused IS NULL ORDER BY number LIMIT 1";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut rows = statement.query([])?;
        rows.next()?.map(read).transpose()
    }

    /// How many wait.
    pub fn count_queued_intents(&self) -> Result<u64, JournalError> {
        let select = "SELECT count(*) FROM intents WHERE refused IS NULL";
        let count: i64 = self
            .connection
            .prepare_cached(select)?
            .query_row([], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// The create of this name that waits, if there is one.
    pub fn queued_create(&self, wanted: &Username) -> Result<Option<QueuedIntent>, JournalError> {
        let creates = self.creates(wanted)?.into_iter();
        Ok(creates.rev().find(|queued| queued.refused.is_none()))
    }

    /// Deletes refused creates of this name: a new create takes their place.
    pub fn forget_refused_create(&self, wanted: &Username) -> Result<(), JournalError> {
        let creates = self.creates(wanted)?.into_iter();
        for refused in creates.filter(|queued| queued.refused.is_some()) {
            self.forget_intent(refused.intent.id)?;
        }
        Ok(())
    }

    fn creates(&self, wanted: &Username) -> Result<Vec<QueuedIntent>, JournalError> {
        let is_one = |queued: &QueuedIntent| match &queued.intent.action {
            IntentAction::CreateUser { username, .. } => username == wanted,
            IntentAction::RemoveUser { .. } => false,
        };
        Ok(self.intents()?.into_iter().filter(is_one).collect())
    }

    /// Notes that a request is about to be sent.
    pub fn attempt_intent(&self, id: IntentId) -> Result<(), JournalError> {
        let update = "UPDATE intents SET attempts = attempts + 1 WHERE id = ?1";
        self.connection.prepare_cached(update)?.execute([id.to_string()])?;
        Ok(())
    }

    /// Whether the request was never sent.
    pub fn is_unsent(&self, id: IntentId) -> Result<bool, JournalError> {
        let select = "SELECT attempts FROM intents WHERE id = ?1";
        let attempts: Option<i64> = self
            .connection
            .prepare_cached(select)?
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?;
        Ok(attempts == Some(0))
    }

    /// Deletes a request that management carried out, or that was cancelled.
    pub fn forget_intent(&self, id: IntentId) -> Result<(), JournalError> {
        self.connection
            .prepare_cached("DELETE FROM intents WHERE id = ?1")?
            .execute([id.to_string()])?;
        Ok(())
    }

    /// Notes that management refused a request, and why; it is kept for a day.
    pub fn refuse_intent(&self, id: IntentId, reason: &str, now: DateTime<Utc>) -> Result<(), JournalError> {
        let update = "UPDATE intents SET refused = ?2, changed_at = ?3 WHERE id = ?1";
        self.connection
            .prepare_cached(update)?
            .execute(params![id.to_string(), reason, micros(now)])?;
        Ok(())
    }
}

fn read(row: &Row<'_>) -> Result<QueuedIntent, JournalError> {
    let text: String = row.get("intent")?;
    Ok(QueuedIntent {
        intent: from_json(&text, "an intent")?,
        attempts: row.get("attempts")?,
        refused: row.get("refused")?,
    })
}
