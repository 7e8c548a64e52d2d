//! What this node holds of each user.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;
use vpnmanager_nats::{
    acks::Outcome,
    commands::{Command, PutUser},
    groups::GroupName,
    ids::{CommonName, IntentId, Revision, UserKey},
    sync::StateDigest,
    username::Username,
};

use super::{
    columns::{from_json, json, micros, parsed, time},
    error::JournalError,
    records::Records,
};
use crate::plan::{Held, group_of, is_expired, old_certificates_of};

/// Which credentials may log in, at the moment `?1`.
const WANTED: &str = "
    SELECT common_name FROM credentials JOIN users USING (user_key)
    WHERE present = 1 AND active = 1 AND removed_by IS NULL AND (expires_at IS NULL OR expires_at > ?1)";

/// How many users the node holds, for heartbeats and the handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Users that are present.
    pub users: u64,
    /// Digest over them and their applied revisions.
    pub digest: StateDigest,
}

/// A user who has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The user.
    pub user_key: UserKey,
    /// The credentials to refuse.
    pub credentials: Vec<CommonName>,
}

impl Records<'_> {
    /// What is held of a user, tombstones included.
    pub fn user(&self, key: UserKey) -> Result<Option<Held>, JournalError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM users WHERE user_key = ?1")?;
        let mut rows = statement.query([key.to_string()])?;
        rows.next()?.map(|row| self.read_user(row)).transpose()
    }

    /// The present user of that name.
    pub fn user_by_name(&self, username: &Username) -> Result<Option<Held>, JournalError> {
        let select = "SELECT * FROM users WHERE username = ?1 AND present = 1 ORDER BY changed_at DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut rows = statement.query([username.as_str()])?;
        rows.next()?.map(|row| self.read_user(row)).transpose()
    }

    /// Present users in the order of their names, those after `after`, at most `most`.
    pub fn users_after(&self, after: &str, most: u64) -> Result<Vec<Held>, JournalError> {
        let select =
            "SELECT * FROM users WHERE present = 1 AND username > ?1 ORDER BY username, changed_at DESC LIMIT ?2";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut rows = statement.query(params![after, i64::try_from(most).unwrap_or(i64::MAX)])?;
        let mut users = Vec::new();
        while let Some(row) = rows.next()? {
            users.push(self.read_user(row)?);
        }
        Ok(users)
    }

    /// The newest commands of the users after `after` in the order of their keys, tombstones included, at most `most`.
    pub fn commands_after(&self, after: Option<UserKey>, most: usize) -> Result<Vec<Command>, JournalError> {
        let select = "SELECT command FROM users WHERE user_key > ?1 ORDER BY user_key LIMIT ?2";
        let mut statement = self.connection.prepare_cached(select)?;
        // Every key comes after the empty text.
        let after = after.map(|key| key.to_string()).unwrap_or_default();
        let mut rows = statement.query(params![after, i64::try_from(most).unwrap_or(i64::MAX)])?;
        let mut commands = Vec::new();
        while let Some(row) = rows.next()? {
            let command: String = row.get("command")?;
            commands.push(from_json(&command, "a command")?);
        }
        Ok(commands)
    }

    /// Stores a newer command. With an outcome it is applied; without one its profiles are still to be made.
    pub fn store_command(
        &self,
        command: &Command,
        outcome: Option<&Outcome>,
        now: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let put = match command {
            Command::PutUser(put) => Some(put),
            Command::RemoveUser(_) => None,
        };
        let upsert = "
            INSERT INTO users (user_key, username, revision, present, active, expires_at, command,
                               applied_revision, outcome, expiry_enforced, changed_at, group_name)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, iif(?8 IS NULL, 0, ?3), ?8, ?9, ?10, ?11)
            ON CONFLICT (user_key) DO UPDATE SET
                username = excluded.username, revision = excluded.revision, present = excluded.present,
                active = excluded.active, expires_at = excluded.expires_at, command = excluded.command,
                applied_revision = iif(excluded.outcome IS NULL, applied_revision, excluded.revision),
                outcome = excluded.outcome, expiry_enforced = excluded.expiry_enforced, changed_at = excluded.changed_at,
                group_name = excluded.group_name,
                removed_by = iif(excluded.present = 1, removed_by, NULL)";
        self.connection.prepare_cached(upsert)?.execute(params![
            command.user_key().to_string(),
            command.username().as_str(),
            command.revision().0,
            put.is_some(),
            put.is_some_and(|put| put.active),
            put.and_then(|put| put.expires_at).map(micros),
            json(command, "a command")?,
            outcome.map(|outcome| json(outcome, "an outcome")).transpose()?,
            put.is_some_and(|put| is_expired(put, now)),
            micros(now),
            group_of(command).map(GroupName::as_str),
        ])?;
        if let Some(PutUser {
            user_key, credentials, ..
        }) = put
        {
            self.list_credentials(*user_key, credentials)?;
        }
        self.set_old_certificates(command.user_key(), old_certificates_of(command))
    }

    /// Stores the outcome of a command, unless a newer one arrived meanwhile: then returns the newer revision.
    pub fn finish_command(
        &self,
        user: UserKey,
        revision: Revision,
        outcome: &Outcome,
    ) -> Result<Option<Revision>, JournalError> {
        let update = "
            UPDATE users SET outcome = ?3, applied_revision = revision
            WHERE user_key = ?1 AND revision = ?2 AND present = 1";
        let row = params![user.to_string(), revision.0, json(outcome, "an outcome")?];
        if self.connection.prepare_cached(update)?.execute(row)? == 1 {
            return Ok(None);
        }
        let select = "SELECT revision FROM users WHERE user_key = ?1";
        let newer: Option<i64> = self
            .connection
            .prepare_cached(select)?
            .query_row([user.to_string()], |row| row.get(0))
            .optional()?;
        Ok(Some(newer.map_or(revision, Revision)))
    }

    /// Notes a local delete: the user is refused until management has carried it out.
    pub fn remove_locally(&self, user: UserKey, intent: IntentId) -> Result<(), JournalError> {
        let update = "UPDATE users SET removed_by = ?2 WHERE user_key = ?1";
        self.connection
            .prepare_cached(update)?
            .execute([user.to_string(), intent.to_string()])?;
        Ok(())
    }

    /// Takes a local delete back that management refused. Returns its user.
    pub fn restore_locally_removed(&self, intent: IntentId) -> Result<Option<Held>, JournalError> {
        let select = "SELECT user_key FROM users WHERE removed_by = ?1";
        let key: Option<String> = self
            .connection
            .prepare_cached(select)?
            .query_row([intent.to_string()], |row| row.get(0))
            .optional()?;
        let Some(key) = key else { return Ok(None) };
        let update = "UPDATE users SET removed_by = NULL WHERE user_key = ?1";
        self.connection.prepare_cached(update)?.execute([&key])?;
        self.user(
            key.parse()
                .map_err(|_unreadable| JournalError::Value { what: "a user key" })?,
        )
    }

    /// Every credential that is let in at the moment `now`.
    pub fn wanted(&self, now: DateTime<Utc>) -> Result<BTreeSet<CommonName>, JournalError> {
        let mut statement = self.connection.prepare_cached(WANTED)?;
        let mut rows = statement.query([micros(now)])?;
        let mut wanted = BTreeSet::new();
        while let Some(row) = rows.next()? {
            wanted.insert(parsed(row, "common_name", "a common name")?);
        }
        Ok(wanted)
    }

    /// Those among these credentials that may log in.
    pub fn wanted_among(
        &self,
        names: &BTreeSet<CommonName>,
        now: DateTime<Utc>,
    ) -> Result<BTreeSet<CommonName>, JournalError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("{WANTED} AND common_name = ?2"))?;
        let mut wanted = BTreeSet::new();
        for name in names {
            if statement.exists(params![micros(now), name.as_str()])? {
                wanted.insert(name.clone());
            }
        }
        Ok(wanted)
    }

    /// Counts the users and digests what is applied of them. Of a user whose first revision is not applied completely that revision counts:
    /// it is let in already, and management must notice when it does not know such a user. While management waits for it, it compares nothing.
    pub fn tally(&self) -> Result<Tally, JournalError> {
        let select = "SELECT user_key, iif(applied_revision > 0, applied_revision, revision) AS held FROM users WHERE present = 1";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut rows = statement.query([])?;
        let mut tally = Tally::default();
        while let Some(row) = rows.next()? {
            tally.users += 1;
            let held: i64 = row.get("held")?;
            let share = StateDigest::of(parsed(row, "user_key", "a user key")?, Revision(held));
            tally.digest = tally.digest.toggle(share);
        }
        Ok(tally)
    }

    /// When the next user expires. In the past when an expiry was not enforced yet.
    pub fn next_expiry(&self) -> Result<Option<DateTime<Utc>>, JournalError> {
        let select = "
            SELECT min(expires_at) FROM users
            WHERE present = 1 AND expires_at IS NOT NULL AND expiry_enforced = 0";
        let next: Option<i64> = self
            .connection
            .prepare_cached(select)?
            .query_row([], |row| row.get(0))?;
        next.map(|micros| time(micros, "an expiry")).transpose()
    }

    /// Users whose expiry is due and not enforced yet, at most 500.
    pub fn due_expiries(&self, now: DateTime<Utc>) -> Result<Vec<Expired>, JournalError> {
        let select = "
            SELECT * FROM users
            WHERE present = 1 AND expires_at IS NOT NULL AND expiry_enforced = 0 AND expires_at <= ?1
            ORDER BY expires_at LIMIT 500";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut rows = statement.query([micros(now)])?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            let user_key = parsed(row, "user_key", "a user key")?;
            let credentials = self
                .credentials_of(user_key)?
                .into_iter()
                .map(|held| held.common_name)
                .collect();
            due.push(Expired { user_key, credentials });
        }
        Ok(due)
    }

    /// Notes that a user's expiry was enforced, unless a newer command moved it.
    pub fn expiry_enforced(&self, user: UserKey, now: DateTime<Utc>) -> Result<bool, JournalError> {
        let update = "
            UPDATE users SET expiry_enforced = 1
            WHERE user_key = ?1 AND present = 1 AND expiry_enforced = 0 AND expires_at <= ?2";
        Ok(self
            .connection
            .prepare_cached(update)?
            .execute(params![user.to_string(), micros(now)])?
            == 1)
    }

    /// Users whose expiry was enforced and is still to come.
    pub fn early_expiries(&self, now: DateTime<Utc>) -> Result<Vec<Held>, JournalError> {
        let select = "SELECT * FROM users WHERE present = 1 AND expiry_enforced = 1 AND expires_at > ?1";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut rows = statement.query([micros(now)])?;
        let mut early = Vec::new();
        while let Some(row) = rows.next()? {
            early.push(self.read_user(row)?);
        }
        Ok(early)
    }

    /// Their expiry counts as not enforced.
    pub fn undo_early_expiries(&self, now: DateTime<Utc>) -> Result<(), JournalError> {
        let update =
            "UPDATE users SET expiry_enforced = 0 WHERE present = 1 AND expiry_enforced = 1 AND expires_at > ?1";
        self.connection.prepare_cached(update)?.execute([micros(now)])?;
        Ok(())
    }

    /// Present users that are not among these.
    pub fn users_besides(&self, known: &HashSet<UserKey>) -> Result<Vec<Held>, JournalError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT user_key FROM users WHERE present = 1")?;
        let mut rows = statement.query([])?;
        let mut others = Vec::new();
        while let Some(row) = rows.next()? {
            let key = parsed(row, "user_key", "a user key")?;
            if !known.contains(&key) {
                others.extend(self.user(key)?);
            }
        }
        Ok(others)
    }

    /// Deletes a user that management does not know, its revision included: should a command for it come after all, any revision
    /// is accepted.
    pub fn forget_user(&self, user: UserKey) -> Result<(), JournalError> {
        self.connection
            .prepare_cached("DELETE FROM users WHERE user_key = ?1")?
            .execute([user.to_string()])?;
        Ok(())
    }

    /// Deletes the tombstones that were written before `before`. Returns how many.
    pub fn forget_tombstones(&self, before: DateTime<Utc>) -> Result<usize, JournalError> {
        let delete = "DELETE FROM users WHERE present = 0 AND changed_at < ?1";
        Ok(self.connection.prepare_cached(delete)?.execute([micros(before)])?)
    }

    fn read_user(&self, row: &Row<'_>) -> Result<Held, JournalError> {
        let user_key: UserKey = parsed(row, "user_key", "a user key")?;
        let command: String = row.get("command")?;
        let outcome: Option<String> = row.get("outcome")?;
        let removed_by: Option<String> = row.get("removed_by")?;
        let intent = |text: String| {
            Uuid::parse_str(&text)
                .map(IntentId)
                .map_err(|_unreadable| JournalError::Value { what: "an intent's id" })
        };
        Ok(Held {
            command: from_json(&command, "a command")?,
            removed_by: removed_by.map(intent).transpose()?,
            outcome: outcome.map(|text| from_json(&text, "an outcome")).transpose()?,
            applied: Revision(row.get("applied_revision")?),
            credentials: self.credentials_of(user_key)?,
        })
    }
}
