//! The user database of an old server. Nothing is written, neither to it nor beside it, but where SQLite cannot read it otherwise.

use std::{
    collections::BTreeSet,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, limits::Limit, types::ValueRef};

use super::{
    cells::Cell,
    row::{Columns, UserList},
};
use crate::{error::ReadError, folder::Folder, found::Place, limits::MOST_ROWS};

/// What every SQLite database begins with ("Database File Format" of SQLite).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where its header says that changes are kept in a log beside it, and the value for that.
const WRITE_VERSION: usize = 18;
const WRITE_AHEAD: u8 = 2;
/// How long another program may hold it.
const BUSY: Duration = Duration::from_secs(2);
/// How long a database may compute. Its columns may be expressions, and so may the rules that its rows keep.
const MOST_TIME: Duration = Duration::from_secs(60);
/// The longest value, and row, in bytes.
const LONGEST_ROW: i32 = 1 << 20;
const TABLE: &str = "users";
/// Names of servers that are shown.
const SHOWN: usize = 5;

/// Whether a file begins as a database does.
pub(crate) fn is_database(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// `bytes` are those of the file: its first ones say how to open it.
pub(crate) fn read_database(folder: &Folder, file: &Path, bytes: &[u8]) -> Result<UserList, ReadError> {
    if !is_database(bytes) {
        return Err(ReadError::NotSqlite { file: file.to_owned() });
    }
    let connection = open(&folder.path(file)?, bytes).map_err(|error| refusal(file, error))?;
    watched(&connection, MOST_TIME, || read_users(&connection, file))
}

fn read_users(connection: &Connection, file: &Path) -> Result<UserList, ReadError> {
    let failed = |error| refusal(file, error);
    check(connection, file)?;
    let tables = tables(connection).map_err(failed)?;
    if !tables.iter().any(|table| table.eq_ignore_ascii_case(TABLE)) {
        return Err(ReadError::NoUsers {
            file: file.to_owned(),
            tables,
        });
    }
    let mut statement = connection.prepare("SELECT * FROM users").map_err(failed)?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let Some(columns) = Columns::of(&names) else {
        return Err(ReadError::NoUsernames {
            file: file.to_owned(),
            columns: names,
        });
    };
    let mut list = UserList::default();
    list.note_unknown(Place::file(file), &columns.unknown(&names));
    let (mut servers, mut number) = (BTreeSet::new(), 0);
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        number += 1;
        if number > MOST_ROWS {
            return Err(ReadError::TooManyRows { file: file.to_owned() });
        }
        let cells = (0..names.len()).map(|at| row.get_ref(at).map(cell));
        let cells: Vec<Cell> = cells.collect::<Result<_, _>>().map_err(failed)?;
        servers.extend(columns.server_id.and_then(|at| cells.get(at)?.text()));
        list.add(Place::line(file, number as u64), &cells, &columns);
    }
    note_servers(&mut list, file, &servers);
    Ok(list)
}

/// With the log that SQLite keeps beside it, if there is one. Without one nobody has it open, and SQLite needs not make one.
fn open(path: &Path, header: &[u8]) -> rusqlite::Result<Connection> {
    let is_logged = header.get(WRITE_VERSION) == Some(&WRITE_AHEAD);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = if is_logged && !log_of(path).exists() {
        Connection::open_with_flags(uri_of(path), flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    connection.busy_timeout(BUSY)?;
    // What stands in the file is somebody else's.
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_ROW)?;
    // To compare with one can take for ever, and cannot be interrupted.
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 0)?;
    Ok(connection)
}

/// Interrupts what the database computes after that time.
fn watched<T>(connection: &Connection, most: Duration, read: impl FnOnce() -> T) -> T {
    let handle = connection.get_interrupt_handle();
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut wait = most;
            while is_done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                handle.interrupt();
                // It interrupts what runs at the moment alone.
                wait = Duration::from_secs(1);
            }
        });
        let read = read();
        drop(done);
        read
    })
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    PathBuf::from(log)
}

/// "Uniform Resource Identifiers" of SQLite.
fn uri_of(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

fn check(connection: &Connection, file: &Path) -> Result<(), ReadError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| refusal(file, error))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(ReadError::Damaged {
        file: file.to_owned(),
        verdict,
    })
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    // A view may compute for ever, and a virtual table, which has no page of its own, runs a module.
    let query = "SELECT name FROM sqlite_schema
        WHERE type = 'table' AND rootpage > 0 AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name";
    let mut statement = connection.prepare(query)?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Number(number),
        ValueRef::Text(text) => std::str::from_utf8(text).map_or(Cell::Other, |text| Cell::Text(text.to_owned())),
        ValueRef::Real(_) | ValueRef::Blob(_) => Cell::Other,
    }
}

fn note_servers(list: &mut UserList, file: &Path, servers: &BTreeSet<String>) {
    if servers.len() < 2 {
        return;
    }
    let shown: Vec<&str> = servers.iter().take(SHOWN).map(String::as_str).collect();
    let more = if servers.len() > SHOWN { ", ..." } else { "" };
    let text = format!(
        "the users are those of {} servers ({}{more}), and all are taken for users of this one",
        servers.len(),
        shown.join(", ")
    );
    list.remarks.push(Place::file(file).remark(text));
}

fn refusal(file: &Path, source: rusqlite::Error) -> ReadError {
    let file = file.to_owned();
    let code = source.sqlite_error_code();
    let is = |codes: &[ErrorCode]| code.is_some_and(|code| codes.contains(&code));
    if is(&[
        ErrorCode::DatabaseBusy,
        ErrorCode::DatabaseLocked,
        ErrorCode::FileLockingProtocolFailed,
    ]) {
        return ReadError::Locked { file };
    }
    if is(&[ErrorCode::OperationInterrupted]) {
        return ReadError::TooSlow { file };
    }
    if is(&[ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase]) {
        return ReadError::Damaged {
            file,
            verdict: source.to_string(),
        };
    }
    if is(&[ErrorCode::ReadOnly, ErrorCode::CannotOpen]) {
        return ReadError::Unfinished { file, source };
    }
    ReadError::Sqlite { file, source }
}

#[cfg(test)]
mod tests;
