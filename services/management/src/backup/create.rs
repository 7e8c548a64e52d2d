//! Makes a backup.

use std::{fmt, fs, io, path::PathBuf};

use chrono::Utc;
use sea_orm::sqlx::{self, Connection as _, PgConnection};
use vpnmanager_nats::security::bus_files::open::BusFiles;
use vpnmanager_secret_file::{NewFile, SecretFileError};

use super::{
    catalog::{self, MIGRATIONS, Table},
    dump::{ONE_STATE, UNLIMITED, dump},
    folders::{self, FolderError, FolderFile},
    manifest::{BUS, Contents, FORMAT, HEADING, Heading, PKI, SETTINGS},
    pack::{PRIVATE, Packed, Packing},
    seal::Seal,
};
use crate::{
    config::DatabaseConfig,
    pki::FILES,
    schema::{SchemaError, open_as_owner},
};

/// Where the system has the name of the machine.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// What to save, and where to.
pub struct Order {
    /// The file. It must not be there.
    pub file: PathBuf,
    /// How it is encrypted.
    pub seal: Seal,
    /// The database.
    pub database: DatabaseConfig,
    /// PKI_DIR.
    pub pki: PathBuf,
    /// BUS_DIR.
    pub bus: PathBuf,
    /// The settings in effect, secrets included, as a configuration file has them.
    pub settings: String,
    /// SERVER_ID.
    pub server_id: String,
}

impl fmt::Debug for Order {
    /// Nothing of the settings, which hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Why there is no backup. No file was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folders of keys.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database cannot be reached.
    #[error(transparent)]
    Connect(#[from] SchemaError),
    /// It has no tables of ours.
    #[error("the database holds no VPN Manager: there is no table {MIGRATIONS}")]
    NoSchema,
    /// It could not be read.
    #[error("reading the database failed")]
    Database(#[from] sqlx::Error),
    /// The file could not be begun, or given its name.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file could not be written.
    #[error("writing {} failed; nothing is left of it", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Saves all in one file of mode 0600, which has its name when it is complete.
pub async fn create_backup(order: Order) -> Result<Contents, BackupError> {
    folders::check_free(&order.file)?;
    // First what may be wrong at once, and what is small.
    let keys = read_folders(&order)?;
    let mut database = open_as_owner(&order.database).await?;
    let begun = NewFile::begin(&order.file)?;
    let packing = Packing::begin(begun, order.seal);
    let saved = Saving {
        packing: &packing,
        server_id: &order.server_id,
    };
    let heading = saved.all(&mut database, keys).await?;
    // Whatever comes of it, the server ends the connection.
    let _closed = database.close().await;
    let failed = |source| BackupError::Write {
        path: order.file.clone(),
        source,
    };
    let Packed { file, manifest } = packing.finish().await.map_err(failed)?;
    file.keep(&order.file)?;
    Ok(Contents { heading, manifest })
}

/// The files besides the database, by the names of their entries.
fn read_folders(order: &Order) -> Result<Vec<FolderFile>, FolderError> {
    let below = |top: &str, files: Vec<FolderFile>| {
        let top = top.to_owned();
        files.into_iter().map(move |file| FolderFile {
            name: format!("{top}/{}", file.name),
            ..file
        })
    };
    let mut files: Vec<FolderFile> = below(PKI, folders::read(&order.pki, FILES)?).collect();
    files.extend(below(BUS, folders::read(&order.bus, BusFiles::names())?));
    files.push(FolderFile {
        name: SETTINGS.to_owned(),
        mode: PRIVATE,
        bytes: order.settings.clone().into_bytes(),
    });
    Ok(files)
}

/// What goes into the file.
struct Saving<'a> {
    packing: &'a Packing,
    server_id: &'a str,
}

impl Saving<'_> {
    async fn all(&self, database: &mut PgConnection, keys: Vec<FolderFile>) -> Result<Heading, BackupError> {
        let mut transaction = database.begin_with(ONE_STATE).await?;
        sqlx::raw_sql(UNLIMITED).execute(&mut *transaction).await?;
        if !catalog::names(&mut transaction)
            .await?
            .iter()
            .any(|name| name == MIGRATIONS)
        {
            return Err(BackupError::NoSchema);
        }
        let migrations = catalog::applied_migrations(&mut transaction).await?;
        let tables = catalog::tables(&mut transaction).await?;
        let heading = self.heading(migrations, tables);
        let text = serde_json::to_vec_pretty(&heading).map_err(|error| sqlx::Error::Encode(error.into()))?;
        self.packing.add(HEADING, PRIVATE, text).await;
        for table in &heading.tables {
            dump(&mut transaction, table, self.packing).await?;
            if self.packing.has_failed() {
                return Ok(heading);
            }
        }
        transaction.rollback().await?;
        for FolderFile { name, mode, bytes } in keys {
            self.packing.add(name, mode, bytes).await;
        }
        Ok(heading)
    }

    fn heading(&self, migrations: Vec<String>, tables: Vec<Table>) -> Heading {
        // Where the system does not tell it, nobody misses it.
        let host = fs::read_to_string(HOSTNAME).unwrap_or_default();
        Heading {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: Utc::now(),
            host: host.trim().to_owned(),
            server_id: self.server_id.to_owned(),
            migrations,
            tables,
        }
    }
}
