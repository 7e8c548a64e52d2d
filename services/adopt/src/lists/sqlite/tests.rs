//! Databases that were made by SQLite itself, whole and broken.

use std::{fs, time::Instant};

use super::*;

/// As the old servers had it.
const SCHEMA: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(255) UNIQUE NOT NULL, \
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, expires_at TIMESTAMP, active BOOLEAN DEFAULT true, ovpn_path TEXT, \
    port INTEGER DEFAULT 1194, protocol VARCHAR(10) DEFAULT 'udp', last_access TIMESTAMP, checksum VARCHAR(255), \
    synced BOOLEAN DEFAULT false, server_id VARCHAR(255) NOT NULL, created_by VARCHAR(255) NOT NULL);";

struct Database {
    dir: tempfile::TempDir,
}

impl Database {
    fn new(sql: &str) -> Self {
        let database = Self {
            dir: tempfile::tempdir().expect("a folder"),
        };
        database.write(sql);
        database
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("users?100%.db")
    }

    fn connection(&self) -> Connection {
        Connection::open(self.path()).expect("opened")
    }

    fn write(&self, sql: &str) {
        self.connection().execute_batch(sql).expect("written");
    }

    fn read(&self) -> Result<UserList, ReadError> {
        let folder = Folder::of(self.dir.path()).expect("a folder");
        let file = Path::new("users?100%.db");
        let bytes = folder.read(file).expect("read");
        read_database(&folder, file, &bytes)
    }

    fn users(&self) -> UserList {
        self.read().expect("users")
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn insert(values: &str) -> String {
    format!(
        "{SCHEMA} INSERT INTO users (username, created_at, expires_at, active, last_access, server_id, created_by) VALUES {values};"
    )
}

#[test]
fn the_old_schema_is_read_whoever_wrote_its_values() {
    let database = Database::new(&insert(
        "('alice', '2023-01-02 03:04:05', NULL, 1, '2024-01-02T03:04:05Z', 'vpn1', 'admin'), \
         ('bob', 1672628645, '2099-01-01', 'false', NULL, 'vpn1', 'admin'), \
         ('carl', '2023-01-02 03:04:05.123456+00:00', '2020-01-01 00:00:00', 'true', '', 'vpn1', 'admin'), \
         ('dora', NULL, 'soon', 1, x'00', 'vpn1', 'admin'), \
         ('emil', NULL, NULL, NULL, NULL, 'vpn1', 'admin'), \
         (7, NULL, NULL, 1, NULL, 'vpn1', 'admin')",
    ));
    let list = database.users();
    let read: Vec<_> = list
        .users
        .iter()
        .map(|user| (user.name.as_str(), user.active, user.place.line))
        .collect();
    assert_eq!(
        read,
        [
            ("alice", true, Some(1)),
            ("bob", false, Some(2)),
            ("carl", true, Some(3)),
            ("dora", false, Some(4)),
            ("emil", false, Some(5)),
            ("7", true, Some(6)),
        ]
    );
    let (alice, bob) = (&list.users[0], &list.users[1]);
    assert_eq!(alice.created_at, bob.created_at);
    assert_eq!(
        alice.last_access.expect("a time").to_rfc3339(),
        "2024-01-02T03:04:05+00:00"
    );
    assert_eq!(
        bob.expires_at.expect("a time").to_rfc3339(),
        "2099-01-01T00:00:00+00:00"
    );
    let remarks: Vec<_> = list.remarks.iter().map(|remark| remark.place.line).collect();
    assert_eq!(remarks, [Some(4), Some(4), Some(5)], "{:?}", list.remarks);
    assert_eq!(database.files(), ["users?100%.db"]);
}

#[test]
fn missing_columns_have_defaults_and_new_ones_are_named() {
    let database = Database::new(
        "CREATE TABLE Users (UserName TEXT, quota INTEGER, mail TEXT); INSERT INTO Users VALUES ('alice', 1, 'a'), (NULL, 2, 'b');",
    );
    let list = database.users();
    assert_eq!(list.users.len(), 1);
    assert!(list.users[0].active);
    let texts: Vec<_> = list.remarks.iter().map(|remark| remark.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "these columns are not carried over: quota, mail",
            "the row is left out: it has no username"
        ]
    );
}

#[test]
fn users_of_several_servers_are_spoken_of() {
    let database = Database::new(&insert(
        "('alice', 0, 0, 1, 0, 'vpn1', 'a'), ('bob', 0, 0, 1, 0, 'vpn2', 'a')",
    ));
    let remarks = database.users().remarks;
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(remarks[0].text.contains("2 servers (vpn1, vpn2)"), "{remarks:?}");
}

#[test]
fn databases_of_something_else_are_refused_with_what_they_have() {
    let without_users = Database::new("CREATE TABLE sessions (id); CREATE VIEW users AS SELECT 1 AS username;");
    let refused = without_users.read().expect_err("no users").to_string();
    assert!(refused.ends_with("has no table `users`. It has: sessions"), "{refused}");
    let without_names = Database::new("CREATE TABLE users (id, login);");
    let refused = without_names.read().expect_err("no names").to_string();
    assert!(
        refused.ends_with("has no column `username`. It has: id, login"),
        "{refused}"
    );
}

#[test]
fn what_is_no_database_and_what_is_left_of_one_is_refused() {
    let database = Database::new(&insert(&format!(
        "{}('last', 0, 0, 1, 0, 's', 'a')",
        (0..2000)
            .map(|number| format!("('user{number}', 0, 0, 1, 0, 's', 'a'), "))
            .collect::<String>()
    )));
    assert_eq!(database.users().users.len(), 2001);
    let whole = fs::read(database.path()).expect("read");
    for length in [whole.len() - 4096, whole.len() / 2, 4096, 1024, 512, 100, 20] {
        fs::write(database.path(), &whole[..length]).expect("written");
        let refused = database.read();
        assert!(
            matches!(refused, Err(ReadError::Damaged { .. })),
            "{length}: {refused:?}"
        );
    }
    let mut overwritten = whole.clone();
    overwritten[4096..8192].fill(0xAA);
    fs::write(database.path(), &overwritten).expect("written");
    let refused = database.read();
    assert!(matches!(refused, Err(ReadError::Damaged { .. })), "{refused:?}");
    for text in ["", "username\nalice\n", "SQLite format 2\0"] {
        fs::write(database.path(), text).expect("written");
        let refused = database.read();
        assert!(
            matches!(refused, Err(ReadError::NotSqlite { .. })),
            "{text:?}: {refused:?}"
        );
    }
}

#[test]
fn a_locked_database_is_said_to_be_locked_after_a_short_while() {
    for mode in ["", "PRAGMA journal_mode = WAL; PRAGMA locking_mode = EXCLUSIVE;"] {
        let database = Database::new(&insert("('alice', 0, 0, 1, 0, 's', 'a')"));
        let holder = database.connection();
        holder.execute_batch(mode).expect("a mode");
        holder
            .execute_batch("BEGIN EXCLUSIVE; UPDATE users SET active = 0;")
            .expect("locked");
        let begin = Instant::now();
        let refused = database.read();
        assert!(
            matches!(refused, Err(ReadError::Locked { .. })),
            "{mode:?}: {refused:?}"
        );
        assert!(begin.elapsed() < BUSY * 3, "{mode:?}");
        holder.execute_batch("ROLLBACK").expect("unlocked");
        drop(holder);
        assert!(database.users().users[0].active, "{mode:?}");
    }
}

#[test]
fn changes_that_are_in_the_log_alone_count() {
    let database = Database::new(&insert("('alice', 0, 0, 1, 0, 's', 'a')"));
    let writer = database.connection();
    writer.execute_batch("PRAGMA journal_mode = WAL;").expect("a mode");
    writer.execute_batch("UPDATE users SET active = 0;").expect("a change");
    assert_eq!(database.files().len(), 3);
    assert!(!database.users().users[0].active);
    drop(writer);
    // The last one who leaves takes the log in. It is made by nobody who only reads.
    assert_eq!(database.files(), ["users?100%.db"]);
    assert!(!database.users().users[0].active);
    assert_eq!(database.files(), ["users?100%.db"]);
}

#[test]
fn a_hundred_thousand_users_are_read_in_seconds() {
    let database = Database::new(&format!(
        "{SCHEMA} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
         INSERT INTO users (username, server_id, created_by) SELECT 'user' || i, 's', 'a' FROM n;"
    ));
    let begin = Instant::now();
    let list = database.users();
    assert_eq!((list.users.len(), list.remarks.len()), (100_000, 0));
    assert_eq!(list.users[99_999].name, "user100000");
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_database_that_computes_fills_no_memory_and_runs_no_module() {
    let large = Database::new(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT AS (hex(zeroblob(4000000)))); INSERT INTO users (id) VALUES (1);",
    );
    let refused = large.read();
    assert!(
        matches!(refused, Err(ReadError::Sqlite { .. } | ReadError::Damaged { .. })),
        "{refused:?}"
    );
    let pattern = Database::new(
        "CREATE TABLE users (id TEXT, username TEXT AS (id GLOB '*a*a*a*a*a*b')); INSERT INTO users (id) VALUES ('aaaa');",
    );
    let refused = pattern.read();
    assert!(
        matches!(refused, Err(ReadError::Sqlite { .. } | ReadError::Damaged { .. })),
        "{refused:?}"
    );
    let module = Database::new("CREATE VIRTUAL TABLE users USING fts5(username); INSERT INTO users VALUES ('alice');");
    let refused = module.read();
    assert!(matches!(refused, Err(ReadError::NoUsers { .. })), "{refused:?}");
}

#[test]
fn what_takes_too_long_is_interrupted() {
    let connection = Connection::open_in_memory().expect("a database");
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let ended = watched(&connection, Duration::from_millis(20), || {
        connection.query_row(endless, [], |row| row.get::<_, i64>(0))
    });
    let refused = refusal(Path::new("users.db"), ended.expect_err("interrupted"));
    assert!(matches!(refused, ReadError::TooSlow { .. }), "{refused:?}");
}
