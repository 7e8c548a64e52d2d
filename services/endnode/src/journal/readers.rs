//! Connections for reading.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{error::JournalError, records::Records};

/// Connections kept for the next reader.
const KEPT: usize = 4;

/// Reads a journal beside the agent that writes it, and changes nothing. Blocks.
///
/// # Errors
/// The file is not there, or cannot be read.
pub fn peek<T>(path: &Path, look: impl FnOnce(&Records<'_>) -> Result<T, JournalError>) -> Result<T, JournalError> {
    Readers::new(path).read(look)
}

/// A small pool. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: Arc::new(path.to_owned()),
            idle: Arc::default(),
        }
    }

    /// Blocks: call it only where blocking is allowed.
    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&Records<'_>) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let taken = self.idle().pop();
        let connection = match taken {
            Some(connection) => connection,
            None => self.open()?,
        };
        let result = {
            // One transaction, so that several statements see one state. Dropping it ends it.
            let transaction = connection.unchecked_transaction()?;
            look(&Records {
                connection: &transaction,
            })
        };
        let mut idle = self.idle();
        if idle.len() < KEPT {
            idle.push(connection);
        }
        result
    }

    fn open(&self) -> Result<Connection, JournalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = |source| JournalError::Open {
            path: self.path.as_ref().clone(),
            source,
        };
        let connection = Connection::open_with_flags(self.path.as_path(), flags).map_err(opened)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    /// A panic while the pool is open leaves it as good as before.
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
