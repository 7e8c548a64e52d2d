//! `backup`: saves the database, the certificate authority, the keys of the bus and the settings in one encrypted file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::Utc;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::spawn_blocking;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::secret_file;
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use super::folder::Folder;
use super::sealing;
use crate::backup::{Key, Manifest, Order, create_backup, keep_newest, name_at, verify};
use crate::config::{BackupConfig, DatabaseConfig};

/// The flags of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// File to write; it must not be there
    #[arg(long, value_name = "FILE", required_unless_present = "dir", conflicts_with = "dir")]
    out: Option<PathBuf>,
    /// Folder to write vpnmanager-TIME.age to, made with mode 0700 when it is absent
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// How many backups of that folder to keep: the new one and those before it; older ones are deleted once the new one was verified
    #[arg(long, value_name = "NUMBER", requires = "dir", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
    /// Public key (age1...) that the file is encrypted for, in place of the passphrase; repeat it for each
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,
    /// File with a secret key of a recipient, to verify the backup with
    #[arg(long, value_name = "FILE", requires = "recipient")]
    identity: Option<PathBuf>,
}

/// The settings that this command reads.
#[derive(Deserialize, Serialize)]
struct BackupSettings {
    server_id: String,
    database: DatabaseConfig,
    pki: Folder,
    bus: Folder,
    #[serde(default)]
    backup: BackupConfig,
    log: LogConfig,
}

/// What to do.
struct Task {
    order: Order,
    /// To verify it with.
    key: Option<Key>,
    /// How many backups of the folder to keep.
    keep: Option<usize>,
}

/// Makes the backup, verifies it where the key is known, and deletes old ones.
pub(super) fn backup(cli: &Cli<impl Sized>, args: &BackupArgs) -> Result<(), Stop> {
    let config: BackupSettings = cli.load()?;
    config.database.check(cli)?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "backup")?;
    let seal = sealing::seal(cli, config.backup, &args.recipient)?;
    let key = match &args.identity {
        Some(path) => Some(sealing::identities(path)?),
        None => seal.key(),
    };
    let order = Order {
        file: file(args)?,
        seal,
        database: config.database,
        pki: config.pki.dir,
        bus: config.bus.dir,
        settings: settings(cli)?,
        server_id: config.server_id,
    };
    let keep = args.keep.map(usize::from);
    Err(Stop::Done(process::block_on(run(Task { order, key, keep }))??))
}

/// The file to write. The folder is made.
fn file(args: &BackupArgs) -> Result<PathBuf, Stop> {
    match (&args.out, &args.dir) {
        (Some(file), _) => Ok(file.clone()),
        (None, Some(folder)) => {
            // One that is there may be shared with others: its mode is not ours to change.
            if !folder.is_dir() {
                secret_file::create_dir(folder).map_err(anyhow::Error::from)?;
            }
            Ok(folder.join(name_at(Utc::now())))
        }
        (None, None) => Err(Stop::Usage("error: give --out or --dir\n".to_owned())),
    }
}

/// All settings in effect, wherever they come from, as a configuration file has them. Whoever has the passphrase needs it not.
fn settings(cli: &Cli<impl Sized>) -> Result<String, Stop> {
    let mut settings: Value = cli.load()?;
    if let Some(settings) = settings.as_object_mut() {
        settings.remove("backup");
    }
    Ok(format!("{settings:#}\n"))
}

async fn run(task: Task) -> anyhow::Result<String> {
    let file = task.order.file.clone();
    let created = create_backup(task.order).await?;
    let is_verified = task.key.is_some();
    if let Some(key) = task.key {
        let path = file.clone();
        let verified = spawn_blocking(move || verify(&path, &key)).await?;
        verified.context("the backup was written, and cannot be read again: older ones were kept")?;
    }
    let deleted = match task.keep {
        Some(most) => keep_newest(&file, most).context("the backup was made, and old ones are still there")?,
        None => Vec::new(),
    };
    Ok(report(&file, &created.manifest, is_verified, &deleted))
}

fn report(file: &Path, manifest: &Manifest, is_verified: bool, deleted: &[PathBuf]) -> String {
    let mut text = format!(
        "{}: {} users, {} rows, {} files{}\n",
        file.display(),
        manifest.rows_of("users"),
        manifest.rows(),
        manifest.files(),
        if is_verified {
            ", verified"
        } else {
            "; not verified, because that takes --identity"
        }
    );
    for path in deleted {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "deleted {}", path.display());
    }
    text
}
