//! The schema and its migrations: `PRAGMA user_version` counts those that ran. History is frozen: a change is a new entry.

use rusqlite::Connection;

use super::error::JournalError;

const MIGRATIONS: &[&str] = &[INITIAL, SESSIONS, GROUPS, METERED, OLD_CERTIFICATES, ANSWERS];

/// Times are whole microseconds since 1970 UTC, ids are hyphenated UUIDs, JSON is the wire's own.
const INITIAL: &str = "
CREATE TABLE meta (
    key    TEXT PRIMARY KEY,
    value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What this node was last told of each user. A row with present = 0 is a tombstone: it keeps the revision, so that an older
-- command cannot revive the user.
CREATE TABLE users (
    user_key          TEXT PRIMARY KEY,
    username          TEXT NOT NULL,
    revision          INTEGER NOT NULL,
    present           INTEGER NOT NULL,
    active            INTEGER NOT NULL,
    expires_at        INTEGER,
    -- The whole command, JSON.
    command           TEXT NOT NULL,
    -- 0 until the first revision is applied completely, certificate and profile included.
    applied_revision  INTEGER NOT NULL DEFAULT 0,
    -- The ack's outcome for `revision`, JSON; NULL while its profile is being made.
    outcome           TEXT,
    -- The intent of a local delete that management has not carried out yet: the user is refused meanwhile.
    removed_by        TEXT,
    -- Whether the expiry was enforced and told.
    expiry_enforced   INTEGER NOT NULL DEFAULT 0,
    changed_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_by_name ON users (username);
CREATE INDEX users_by_expiry ON users (expires_at) WHERE present = 1 AND expires_at IS NOT NULL AND expiry_enforced = 0;
CREATE INDEX tombstones_by_age ON users (changed_at) WHERE present = 0;

-- Every credential of a present user. Those homed here get a key, a certificate and a profile.
CREATE TABLE credentials (
    common_name   TEXT PRIMARY KEY,
    user_key      TEXT NOT NULL REFERENCES users (user_key) ON DELETE CASCADE,
    state         TEXT NOT NULL CHECK (state IN ('listed', 'keyed', 'complete', 'lost')),
    key_pem       TEXT,
    csr_pem       TEXT,
    certificate   TEXT,
    serial        TEXT,
    not_before    INTEGER,
    not_after     INTEGER,
    tls_crypt_v2  TEXT,
    -- The remotes that the profile names, JSON.
    remotes       TEXT,
    profile       TEXT,
    checksum      TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX credentials_by_user ON credentials (user_key);

-- Local requests that wait for management, in the order they were made.
CREATE TABLE intents (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    intent      TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    -- Why management refused it; kept for a day to be seen.
    refused     TEXT,
    changed_at  INTEGER NOT NULL
) STRICT;

-- Events that wait for the bus.
CREATE TABLE events (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    event   TEXT NOT NULL
) STRICT;
";

const SESSIONS: &str = "
-- Sessions that live, and those whose end the bus has not taken yet.
CREATE TABLE sessions (
    since       INTEGER NOT NULL,
    -- OpenVPN's number for it, which begins with 0 again at each start.
    cid         INTEGER NOT NULL,
    -- All that is known, JSON.
    record      TEXT NOT NULL,
    ended       INTEGER NOT NULL,
    unreported  INTEGER NOT NULL,
    -- Grows with each change, so that a change while it is on its way is reported too.
    version     INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (since, cid)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_unreported ON sessions (since, cid) WHERE unreported = 1;
CREATE INDEX sessions_by_end ON sessions (ended, since, cid);
";

const GROUPS: &str = "
-- The group of a present user. NULL: the group default.
ALTER TABLE users ADD COLUMN group_name TEXT;
CREATE INDEX users_by_group ON users (group_name) WHERE group_name IS NOT NULL;

-- The fixed address of each credential of a member of another group, where the agent runs OpenVPN. Elsewhere they stay as they are.
CREATE TABLE places (
    common_name  TEXT PRIMARY KEY REFERENCES credentials (common_name) ON DELETE CASCADE,
    group_name   TEXT NOT NULL,
    -- The number of the address in OPENVPN_NETWORK.
    host         INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

-- An earlier release did not keep what it was told of groups. Without a place in the stream management sends everything again.
DELETE FROM meta WHERE key IN ('last_sequence', 'stream');
";

const METERED: &str = "
-- Whether there is anybody whose traffic counts against a quota of its own is asked every second.
CREATE INDEX users_metered ON users (json_extract(command, '$.metered'))
    WHERE present = 1 AND json_extract(command, '$.metered') = 1;
";

const OLD_CERTIFICATES: &str = "
-- Certificates of the server that this node took over, by their common names.
CREATE TABLE old_certificates (
    common_name  TEXT PRIMARY KEY,
    user_key     TEXT NOT NULL REFERENCES users (user_key) ON DELETE CASCADE,
    expires_at   INTEGER,
    -- Serial numbers of others with this name, JSON.
    revoked      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX old_certificates_by_user ON old_certificates (user_key);
CREATE INDEX old_certificates_by_end ON old_certificates (expires_at) WHERE expires_at IS NOT NULL;

-- An earlier release did not keep what it was told of them. Without a place in the stream management sends everything again.
DELETE FROM meta WHERE key IN ('last_sequence', 'stream');
";

const ANSWERS: &str = "
-- Requests of the local API with an Idempotency-Key.
CREATE TABLE answers (
    -- SHA-256 of the key.
    key_hash     BLOB PRIMARY KEY,
    -- SHA-256 of what was asked.
    fingerprint  BLOB NOT NULL,
    -- Tells who works on it.
    claim        INTEGER NOT NULL UNIQUE,
    claimed_at   INTEGER NOT NULL,
    answered     INTEGER NOT NULL DEFAULT 0,
    -- Sealed with a key that is stored nowhere; NULL when it is answered: the answer was too long.
    answer       BLOB
) STRICT;
CREATE INDEX answers_by_age ON answers (claimed_at);
";

/// Brings the file up to this build's schema, one transaction for each step.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), JournalError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(JournalError::Newer { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (step, statements) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(statements)?;
        transaction.pragma_update(None, "user_version", i64::try_from(step + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_the_first_schema_keeps_what_it_holds() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(INITIAL).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection
            .execute("INSERT INTO events (event) VALUES ('of before')", [])
            .unwrap();

        migrate(&mut connection).unwrap();

        let count = |table: &str| -> i64 {
            let select = format!("SELECT count(*) FROM {table}");
            connection.query_row(&select, [], |row| row.get(0)).unwrap()
        };
        assert_eq!((count("events"), count("sessions"), count("places")), (1, 0, 0));
        assert_eq!((count("old_certificates"), count("answers")), (0, 0));
    }

    #[test]
    fn a_journal_of_before_groups_is_complete_and_gets_everything_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(INITIAL).unwrap();
        connection.execute_batch(SESSIONS).unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
        let held = "INSERT INTO meta (key, value) VALUES ('last_sequence', '7'), ('stream', '1'), ('complete', 'yes'), ('commits', '9')";
        connection.execute(held, []).unwrap();

        migrate(&mut connection).unwrap();

        let mut statement = connection.prepare("SELECT key FROM meta ORDER BY key").unwrap();
        let keys = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let keys: Vec<String> = keys.map(Result::unwrap).collect();
        assert_eq!(keys, ["commits", "complete"]);
    }

    #[test]
    fn migrating_twice_is_migrating_once_and_a_newer_file_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(
            migrate(&mut connection),
            Err(JournalError::Newer { found: 99, .. })
        ));
    }
}
