//! What the node knows of itself: how far it followed the stream, whether it ever held everything, whether it may serve.

use rusqlite::{OptionalExtension, params};
use vpnmanager_nats::{groups::Groups, network::PoolNetwork, sync::StreamId};

use super::{columns::json, error::JournalError, records::Records};

const LAST_SEQUENCE: &str = "last_sequence";
const COMPLETE: &str = "complete";
const REFUSED: &str = "refused";
const STREAM: &str = "stream";
const COMMITS: &str = "commits";
const DRAIN_PACE: &str = "drain_pace";
const NETWORK: &str = "network";
const GROUPS: &str = "groups";

/// How complete the journal is, and what management wants of this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Stream sequence of the newest command that was journaled, 0 for an empty journal.
    pub last_sequence: u64,
    /// Whether the node ever held everything.
    pub complete: bool,
    /// The store of the stream that the sequence counts in; `None` before management's first answer, and while management sends
    /// everything again.
    pub stream: Option<StreamId>,
    /// Why this node must not serve, if management's last word was that.
    pub refused: Option<String>,
    /// Clients to move away in one second, while management drains this node.
    pub drain_pace: Option<u32>,
}

impl Records<'_> {
    /// What the node knows of itself.
    pub fn snapshot(&self) -> Result<Snapshot, JournalError> {
        let last_sequence = self.meta(LAST_SEQUENCE)?.and_then(|text| text.parse().ok());
        Ok(Snapshot {
            last_sequence: last_sequence.unwrap_or_default(),
            complete: self.meta(COMPLETE)?.is_some(),
            stream: self.meta(STREAM)?.and_then(|text| text.parse().ok()).map(StreamId),
            refused: self.meta(REFUSED)?,
            drain_pace: self.meta(DRAIN_PACE)?.and_then(|text| text.parse().ok()),
        })
    }

    /// Notes how far the stream was followed; never goes back.
    pub fn advance_sequence(&self, sequence: u64) -> Result<(), JournalError> {
        if sequence > self.snapshot()?.last_sequence {
            self.set_meta(LAST_SEQUENCE, Some(&sequence.to_string()))?;
        }
        Ok(())
    }

    /// Forgets how far the stream was followed: everything comes again, perhaps from another stream.
    pub fn restart_sequence(&self) -> Result<(), JournalError> {
        self.set_meta(LAST_SEQUENCE, None)?;
        self.set_meta(STREAM, None)
    }

    /// Notes that the journal is incomplete, whatever it holds, and how many commits were made.
    pub(super) fn begin_again(&self, commits: u64) -> Result<(), JournalError> {
        for key in [LAST_SEQUENCE, COMPLETE, STREAM] {
            self.set_meta(key, None)?;
        }
        self.set_meta(COMMITS, Some(&commits.to_string()))
    }

    /// How many commits were made.
    pub(super) fn commits(&self) -> Result<u64, JournalError> {
        let commits = self.meta(COMMITS)?.and_then(|text| text.parse().ok());
        Ok(commits.unwrap_or_default())
    }

    /// Counts the commit that is about to be made.
    pub(super) fn count_commit(&self) -> rusqlite::Result<u64> {
        let count = "INSERT INTO meta (key, value) VALUES (?1, '1')
            ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1 RETURNING CAST(value AS INTEGER)";
        let mut statement = self.connection.prepare_cached(count)?;
        let commits: i64 = statement.query_row([COMMITS], |row| row.get(0))?;
        Ok(commits.unsigned_abs())
    }

    /// Notes which store of the bus is followed.
    pub fn set_stream(&self, stream: StreamId) -> Result<(), JournalError> {
        self.set_meta(STREAM, Some(&stream.0.to_string()))
    }

    /// Notes that the node holds everything.
    pub fn set_complete(&self) -> Result<(), JournalError> {
        self.set_meta(COMPLETE, Some("yes"))
    }

    /// Notes whether management lets this node serve.
    pub fn set_refused(&self, reason: Option<&str>) -> Result<(), JournalError> {
        self.set_meta(REFUSED, reason)
    }

    /// Notes whether management drains this node, and how fast.
    pub fn set_drain_pace(&self, pace: Option<u32>) -> Result<(), JournalError> {
        self.set_meta(DRAIN_PACE, pace.map(|pace| pace.to_string()).as_deref())
    }

    /// What management last said of the pool's network; `None` before that, and for what another release wrote and this one cannot read:
    /// management says it again with each handshake.
    pub fn network(&self) -> Result<Option<PoolNetwork>, JournalError> {
        let text = self.meta(NETWORK)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Notes what management says of the pool's network.
    pub fn set_network(&self, network: &PoolNetwork) -> Result<(), JournalError> {
        self.set_meta(NETWORK, Some(&json(network, "the pool's network")?))
    }

    /// What management last said of the groups of the fleet; `None` as for [`Self::network`].
    pub fn groups(&self) -> Result<Option<Groups>, JournalError> {
        let text = self.meta(GROUPS)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Notes what management says of the groups.
    pub fn set_groups(&self, groups: &Groups) -> Result<(), JournalError> {
        self.set_meta(GROUPS, Some(&json(groups, "the groups")?))
    }

    fn meta(&self, key: &str) -> Result<Option<String>, JournalError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    fn set_meta(&self, key: &str, value: Option<&str>) -> Result<(), JournalError> {
        match value {
            Some(value) => {
                let insert = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                self.connection.prepare_cached(insert)?.execute(params![key, value])?;
            }
            None => {
                self.connection
                    .prepare_cached("DELETE FROM meta WHERE key = ?1")?
                    .execute([key])?;
            }
        }
        Ok(())
    }
}
