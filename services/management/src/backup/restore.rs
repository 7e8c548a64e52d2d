//! Restores a backup onto an empty database and empty folders: all of it, or nothing.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sea_orm::sqlx::{self, Connection as _, PgConnection, Postgres, Transaction};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    folders::{self, FolderError},
    load::{self, LoadError, check_schema, complete, prepare},
    manifest::{BUS, Contents, Heading, PKI, SETTINGS},
    pack::PRIVATE,
    placed::Placed,
    read_error::ReadError,
    seal::Key,
    unpack::{Entry, unpack},
    verify::verify,
};
use crate::{
    config::DatabaseConfig,
    domain::{actor::Actor, audit_action::AuditAction, shown_time::shown_time},
    schema::{SchemaError, migrate, open_as_owner},
};

/// Entries that wait to be written. Each has a few MiB at most.
const ROOM: usize = 2;

/// Where a backup is restored to.
#[derive(Debug)]
pub struct Destination {
    /// An empty database. The role that owns its tables makes them, where one is given.
    pub database: DatabaseConfig,
    /// PKI_DIR: absent, or empty.
    pub pki: PathBuf,
    /// BUS_DIR: absent, or empty.
    pub bus: PathBuf,
    /// Where the settings of the backup are written to, as a configuration file; `None`: nowhere.
    pub settings: Option<PathBuf>,
    /// SERVER_ID, for the audit trail.
    pub server_id: String,
}

/// Why a backup was not restored. Nothing was changed, but for [`RestoreError::Rights`].
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is of no use.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The folders are of no use.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database cannot be reached.
    #[error(transparent)]
    Connect(#[from] SchemaError),
    /// The rows were not taken.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The backup has a file that is restored to no place.
    #[error("nobody knows where {name} of the backup goes")]
    Nowhere {
        /// The entry.
        name: String,
    },
    /// The transaction could not be begun or committed.
    #[error("the database did not take the backup")]
    Database(#[from] sqlx::Error),
    /// A thread of ours ended.
    #[error("reading the file ended early")]
    Ended(#[source] io::Error),
    /// All is restored, but the role of the service could not be given its rights.
    #[error("all is restored, but the rights of the service's role are missing: run `vpnmanager-management migrate`")]
    Rights(#[source] SchemaError),
}

/// Restores a backup. Before anything is changed, the whole file is read and compared with its manifest. The database is marked: management waits
/// until somebody has decided what holds of what the fleet was told since the backup was made.
pub async fn restore(file: &Path, key: Key, to: &Destination) -> Result<Contents, RestoreError> {
    let key = Arc::new(key);
    let contents = check(file, &key, to).await?;
    let mut database = open_as_owner(&to.database).await?;
    write_all(&mut database, file, key, to, &contents.heading).await?;
    // Whatever comes of it, the server ends the connection.
    let _closed = database.close().await;
    migrate(&to.database).await.map_err(RestoreError::Rights)?;
    Ok(contents)
}

/// Looks at all that can be wrong before something is changed.
async fn check(file: &Path, key: &Arc<Key>, to: &Destination) -> Result<Contents, RestoreError> {
    folders::check_empty(&to.pki)?;
    folders::check_empty(&to.bus)?;
    if let Some(path) = &to.settings {
        folders::check_free(path)?;
    }
    let (path, key) = (file.to_owned(), Arc::clone(key));
    let verified = spawn_blocking(move || verify(&path, &key)).await;
    let contents = verified.map_err(|error| RestoreError::Ended(io::Error::other(error)))??;
    check_schema(&contents.heading)?;
    Ok(contents)
}

/// Writes database and files. The files go again unless the database has taken the rows.
async fn write_all(
    database: &mut PgConnection,
    file: &Path,
    key: Arc<Key>,
    to: &Destination,
    heading: &Heading,
) -> Result<(), RestoreError> {
    let mut transaction = database.begin().await?;
    prepare(&mut transaction, heading).await?;
    let (forward, mut entries) = mpsc::channel(ROOM);
    let path = file.to_owned();
    let take = move |entry: Entry| forward.blocking_send(entry).map_err(|_gone| Stopped::Gone);
    let reading = spawn_blocking(move || unpack(&path, &key, take));
    let loaded = load::load(&mut transaction, heading, &mut entries).await;
    // The other end notices that nobody takes what it reads.
    drop(entries);
    let read = reading
        .await
        .map_err(|error| RestoreError::Ended(io::Error::other(error)))?;
    let files = loaded?;
    match read {
        Ok(_verified) => {}
        Err(Stopped::Read(error)) => return Err(error.into()),
        Err(Stopped::Gone) => return Err(RestoreError::Ended(io::ErrorKind::BrokenPipe.into())),
    }
    complete(&mut transaction, heading).await?;
    mark(&mut transaction, file, to, heading).await?;
    let placed = place(files, to)?;
    placed.sync()?;
    transaction.commit().await?;
    placed.keep();
    Ok(())
}

/// Marks the database, and tells the trail.
async fn mark(
    transaction: &mut Transaction<'_, Postgres>,
    file: &Path,
    to: &Destination,
    heading: &Heading,
) -> Result<(), sqlx::Error> {
    // A backup of a database that waited itself: the newer mark holds.
    let forget = "DELETE FROM restorations WHERE decided_at IS NULL";
    sqlx::query::<Postgres>(forget).execute(&mut **transaction).await?;
    let source = file.display().to_string();
    let note = sqlx::query::<Postgres>("INSERT INTO restorations (made_at, source) VALUES ($1, $2)");
    let note = note.bind(heading.made_at).bind(&source);
    note.execute(&mut **transaction).await?;
    let tell =
        sqlx::query::<Postgres>("INSERT INTO audit_log (action, actor, server_id, details) VALUES ($1, $2, $3, $4)");
    let details = format!(
        "{source}, made {} on {} by {}",
        shown_time(heading.made_at),
        heading.host,
        heading.version
    );
    let tell = tell
        .bind(AuditAction::DatabaseRestored.as_str())
        .bind(Actor::command().name)
        .bind(&to.server_id)
        .bind(details);
    tell.execute(&mut **transaction).await.map(drop)
}

/// Puts the files in place.
fn place(files: Vec<Entry>, to: &Destination) -> Result<Placed, RestoreError> {
    let mut placed = Placed::default();
    for Entry { name, mode, bytes } in files {
        match name.split_once('/') {
            Some((PKI, inside)) => placed.write(&to.pki.join(inside), mode, &bytes)?,
            Some((BUS, inside)) => placed.write(&to.bus.join(inside), mode, &bytes)?,
            Some(_) if name == SETTINGS => {
                if let Some(path) = &to.settings {
                    placed.write(path, PRIVATE, &bytes)?;
                }
            }
            Some(_) | None => return Err(RestoreError::Nowhere { name }),
        }
    }
    Ok(placed)
}

/// Why the file was not read to its end.
enum Stopped {
    Read(ReadError),
    /// Nobody takes what is read: the database has refused it.
    Gone,
}

impl From<ReadError> for Stopped {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}
