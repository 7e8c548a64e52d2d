//! What a node's journal holds, read from its file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};

/// What a node holds.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeJournal {
    /// Present users by key.
    pub(super) users: BTreeMap<String, Held>,
    /// Serial numbers of the certificates that were made here, by common name.
    pub(super) serials: BTreeMap<String, String>,
}

/// A present user.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) username: String,
    pub(super) revision: i64,
    pub(super) applied_revision: i64,
    pub(super) active: bool,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) removed_locally: bool,
    pub(super) outcome: Option<String>,
    pub(super) credentials: BTreeSet<String>,
}

impl NodeJournal {
    /// Reads the file while the agent uses it.
    pub(super) fn read(file: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let transaction = connection.unchecked_transaction()?;
        let mut journal = Self::default();
        let users = "SELECT user_key, username, revision, applied_revision, active, expires_at, removed_by, outcome
            FROM users WHERE present = 1";
        let mut users = transaction.prepare(users)?;
        let mut rows = users.query([])?;
        while let Some(row) = rows.next()? {
            let expires_at: Option<i64> = row.get("expires_at")?;
            let removed_by: Option<String> = row.get("removed_by")?;
            let held = Held {
                username: row.get("username")?,
                revision: row.get("revision")?,
                applied_revision: row.get("applied_revision")?,
                active: row.get("active")?,
                expires_at: expires_at.and_then(DateTime::from_timestamp_micros),
                removed_locally: removed_by.is_some(),
                outcome: row.get("outcome")?,
                credentials: BTreeSet::new(),
            };
            journal.users.insert(row.get("user_key")?, held);
        }
        let mut credentials = transaction.prepare("SELECT common_name, user_key, serial FROM credentials")?;
        let mut rows = credentials.query([])?;
        while let Some(row) = rows.next()? {
            let (name, key): (String, String) = (row.get("common_name")?, row.get("user_key")?);
            if let Some(serial) = row.get("serial")? {
                journal.serials.insert(name.clone(), serial);
            }
            if let Some(held) = journal.users.get_mut(&key) {
                held.credentials.insert(name);
            }
        }
        Ok(journal)
    }
}
