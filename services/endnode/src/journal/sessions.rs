//! Sessions: those that live, and those whose end waits for the bus. The node, the start and OpenVPN's number name one.

use rusqlite::params;
use vpnmanager_nats::sessions::SessionRecord;

use super::{
    columns::{from_json, json, micros},
    error::JournalError,
    records::Records,
};

/// A node that cannot reach the bus for long keeps only the newest sessions that have ended: about 100 MB.
const MOST_ENDED: u32 = 200_000;

/// What is to be noted of a session, ready to be written, so that the one thread that writes has little to do.
#[derive(Debug, Clone)]
pub struct NotedSession {
    since: i64,
    cid: i64,
    record: String,
    has_ended: bool,
    is_news: bool,
}

/// A record that waits for the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreportedSession {
    /// What the node knows.
    pub record: SessionRecord,
    /// Grows with each change of the record.
    pub version: i64,
}

impl NotedSession {
    /// To be reported.
    pub fn news(record: &SessionRecord) -> Result<Self, JournalError> {
        Self::new(record, true)
    }

    /// To be kept, in case that the agent dies. A report that waits already carries it.
    pub fn progress(record: &SessionRecord) -> Result<Self, JournalError> {
        Self::new(record, false)
    }

    fn new(record: &SessionRecord, is_news: bool) -> Result<Self, JournalError> {
        let (since, cid) = key(record);
        Ok(Self {
            since,
            cid,
            record: json(record, "a session")?,
            has_ended: record.ended.is_some(),
            is_news,
        })
    }
}

impl Records<'_> {
    /// Notes sessions. One that has ended does not change any more. Returns how many of the oldest ended ones had to be forgotten although
    /// they were not reported: 200,000 are kept.
    pub fn put_sessions(&self, sessions: &[NotedSession]) -> Result<usize, JournalError> {
        let upsert = "
            INSERT INTO sessions (since, cid, record, ended, unreported) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (since, cid) DO UPDATE SET record = excluded.record, ended = excluded.ended,
                unreported = max(sessions.unreported, excluded.unreported), version = sessions.version + 1
            WHERE sessions.ended = 0";
        let mut statement = self.connection.prepare_cached(upsert)?;
        for noted in sessions {
            statement.execute(params![
                noted.since,
                noted.cid,
                noted.record,
                noted.has_ended,
                noted.is_news
            ])?;
        }
        self.forget_ended_sessions(MOST_ENDED)
    }

    /// Deletes the oldest sessions that have ended and were not reported, until `most` are left. Returns how many.
    pub fn forget_ended_sessions(&self, most: u32) -> Result<usize, JournalError> {
        let count = "SELECT count(*) FROM sessions WHERE ended = 1";
        let ended: i64 = self.connection.prepare_cached(count)?.query_row([], |row| row.get(0))?;
        let surplus = ended - i64::from(most);
        if surplus <= 0 {
            return Ok(0);
        }
        let delete = "
            DELETE FROM sessions WHERE (since, cid) IN
                (SELECT since, cid FROM sessions WHERE ended = 1 ORDER BY since, cid LIMIT ?1)";
        Ok(self.connection.prepare_cached(delete)?.execute([surplus])?)
    }

    /// The sessions whose end is not known.
    pub fn open_sessions(&self) -> Result<Vec<SessionRecord>, JournalError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT record FROM sessions WHERE ended = 0")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|text| from_json(&text?, "a session")).collect()
    }

    /// The records that wait for the bus, those of the oldest sessions first.
    pub fn unreported_sessions(&self, most: u32) -> Result<Vec<UnreportedSession>, JournalError> {
        let select = "SELECT record, version FROM sessions WHERE unreported = 1 ORDER BY since, cid LIMIT ?1";
        let mut statement = self.connection.prepare_cached(select)?;
        let rows = statement.query_map([most], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (text, version) = row?;
            Ok(UnreportedSession {
                record: from_json(&text, "a session")?,
                version,
            })
        })
        .collect()
    }

    /// The stream holds these. One that has ended is forgotten; one of which more is known by now is reported again.
    pub fn sessions_reported(&self, reported: &[UnreportedSession]) -> Result<(), JournalError> {
        let delete = "DELETE FROM sessions WHERE since = ?1 AND cid = ?2 AND version = ?3 AND ended = 1";
        let update = "UPDATE sessions SET unreported = 0 WHERE since = ?1 AND cid = ?2 AND version = ?3";
        let mut delete = self.connection.prepare_cached(delete)?;
        let mut update = self.connection.prepare_cached(update)?;
        for UnreportedSession { record, version } in reported {
            let (since, cid) = key(record);
            if delete.execute(params![since, cid, version])? == 0 {
                update.execute(params![since, cid, version])?;
            }
        }
        Ok(())
    }
}

fn key(record: &SessionRecord) -> (i64, i64) {
    let cid = record.session.cid.unwrap_or_default();
    (micros(record.session.since), i64::try_from(cid).unwrap_or(i64::MAX))
}
