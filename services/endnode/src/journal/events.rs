//! Events that wait for the bus.

use rusqlite::params;
use vpnmanager_nats::events::Event;

use super::{
    columns::{from_json, json},
    error::JournalError,
    records::Records,
};

/// A node that cannot reach the bus for long keeps only its newest events.
const MOST_EVENTS: i64 = 10_000;

impl Records<'_> {
    /// Queues an event.
    pub fn queue_event(&self, event: &Event) -> Result<(), JournalError> {
        let insert = "INSERT INTO events (event) VALUES (?1)";
        self.connection
            .prepare_cached(insert)?
            .execute([json(event, "an event")?])?;
        let newest = self.connection.last_insert_rowid();
        let forget = "DELETE FROM events WHERE number <= ?1";
        self.connection
            .prepare_cached(forget)?
            .execute([newest - MOST_EVENTS])?;
        Ok(())
    }

    /// The oldest events, with the numbers to [forget](Self::forget_events) them by.
    pub fn oldest_events(&self, most: u32) -> Result<Vec<(i64, Event)>, JournalError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT number, event FROM events ORDER BY number LIMIT ?1")?;
        let rows = statement.query_map([most], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (number, text) = row?;
            Ok((number, from_json(&text, "an event")?))
        })
        .collect()
    }

    /// Deletes events that the stream holds.
    pub fn forget_events(&self, numbers: &[i64]) -> Result<(), JournalError> {
        let mut statement = self.connection.prepare_cached("DELETE FROM events WHERE number = ?1")?;
        for number in numbers {
            statement.execute(params![number])?;
        }
        Ok(())
    }
}
