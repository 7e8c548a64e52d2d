//! The handle to the journal.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;
use vpnmanager_runtime::{error_chain::chain, tasks::Tasks};

use super::{
    error::JournalError,
    fault::WriteFault,
    mark::Mark,
    readers::Readers,
    records::Records,
    schema,
    writer::{HELD_WITHIN, Job, Writer},
};
use crate::blocking::beside;

/// Writes that may wait for the writer.
const QUEUE: usize = 1024;

/// The journal. Cheap to clone; all clones are the same file.
#[derive(Debug, Clone)]
pub struct Journal {
    writer: mpsc::Sender<Job>,
    readers: Readers,
    commits: watch::Receiver<u64>,
    fault: WriteFault,
}

impl Journal {
    /// Opens the file, making it (0600) where missing, and starts its writer. A damaged file is renamed to
    /// `<name>.damaged-<seconds since 1970>`, and the node begins again with an empty one. A journal that lacks its newest commits is
    /// kept, and counts as incomplete.
    pub fn open(path: &Path, tasks: &Tasks) -> Result<Self, JournalError> {
        let connection = match open_sound(path) {
            Err(damage) if damage.is_damage() => {
                let kept = set_aside(path)?;
                error!(
                    error = %chain(&damage),
                    kept = %kept.display(),
                    "The journal is damaged: it is set aside, and management is asked for everything again. \
                     Keys and profiles made here and requests that waited for management are in the file set aside alone"
                );
                open_sound(path)?
            }
            opened => opened?,
        };
        let mark = Mark::beside(path).map_err(|source| JournalError::Private {
            path: path.to_owned(),
            source,
        })?;
        look_for_lost_commits(&connection, &mark)?;
        let (writer, jobs) = mpsc::channel(QUEUE);
        let (committed, commits) = watch::channel(0);
        let (runtime, stop) = (tokio::runtime::Handle::current(), tasks.draining());
        let fault = WriteFault::new(path);
        let worker = Writer {
            connection,
            mark,
            fault: fault.clone(),
            commits: committed,
        };
        tasks.spawn_blocking_worker("journal", move || {
            worker.write_batches(&runtime, jobs, &stop);
            Ok(())
        });
        Ok(Self {
            writer,
            readers: Readers::new(path),
            commits,
            fault,
        })
    }

    /// Runs `work` in the next commit and returns its result once that is on the disk. Others may share the commit; each fails
    /// alone.
    ///
    /// # Errors
    /// When `work` or the commit fails; then nothing of `work` stays.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Records<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::new(work, move |result| {
            // A caller that left does not need its answer.
            let _gone = answer.send(result);
        });
        self.writer.send(job).await.map_err(|_returned| JournalError::Closed)?;
        answered.await.map_err(|_dropped| JournalError::Closed)?
    }

    /// Reads from one consistent state.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Records<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let readers = self.readers.clone();
        let read = beside(move || readers.read(look)).await;
        read.unwrap_or(Err(JournalError::Closed))
    }

    /// Counts commits: while the number stays the same, so does the content.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    /// Why it cannot be written and what to do about that, if the last write failed. It goes with the next one that succeeds, within a
    /// second also when nobody writes.
    pub fn fault(&self) -> Option<String> {
        self.fault.text()
    }
}

/// Opens the file and checks all of it: damage shows now, and not at some later command.
fn open_sound(path: &Path) -> Result<Connection, JournalError> {
    make_private(path).map_err(|source| JournalError::Private {
        path: path.to_owned(),
        source,
    })?;
    let opened = |source| JournalError::Open {
        path: path.to_owned(),
        source,
    };
    let mut connection = Connection::open(path).map_err(opened)?;
    prepare(&connection).map_err(opened)?;
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(opened)?;
    if verdict != "ok" {
        return Err(JournalError::Damaged {
            path: path.to_owned(),
            verdict,
        });
    }
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// A journal that was truncated or restored holds users who were removed since and lacks others: management has to send everything
/// again.
fn look_for_lost_commits(connection: &Connection, mark: &Mark) -> Result<(), JournalError> {
    let records = Records { connection };
    let (made, held) = (mark.commits(), records.commits()?);
    if made <= held {
        return Ok(());
    }
    error!(
        commits.made = made,
        commits.held = held,
        "The journal lacks its newest commits: it is not taken for complete, and management is asked for everything again"
    );
    let transaction = connection.unchecked_transaction()?;
    Records {
        connection: &transaction,
    }
    .begin_again(made)?;
    transaction.commit()?;
    Ok(())
}

/// Renames the file and what SQLite keeps beside it.
fn set_aside(path: &Path) -> Result<PathBuf, JournalError> {
    let with_suffix = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = format!(".damaged-{}", chrono::Utc::now().timestamp());
    for part in ["-wal", "-shm", ""] {
        match fs::rename(with_suffix(part), with_suffix(&format!("{aside}{part}"))) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::SetAside {
                    path: path.to_owned(),
                    source,
                });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(with_suffix(&aside))
}

/// SQLite gives its `-wal` and `-shm` files the mode of the main file.
fn make_private(path: &Path) -> io::Result<()> {
    let file: File = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

/// WAL with a full sync at every commit: what was answered survives a crash of the machine, not only of the process.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(HELD_WITHIN)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}
