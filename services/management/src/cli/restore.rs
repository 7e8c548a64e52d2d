//! `restore`: puts a backup onto an empty database and empty folders, or only checks it.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use super::folder::Folder;
use super::sealing;
use crate::backup::{Contents, Destination, restore as restore_backup, verify};
use crate::config::{BackupConfig, DatabaseConfig};
use crate::domain::shown_time::shown_time;

/// The flags of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// File with a secret key that the backup was encrypted for, in place of the passphrase
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Write the settings of the backup to this file, which must not be there; management reads it with --config
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    settings_to: Option<PathBuf>,
    /// Only read the whole backup and say what is in it; nothing is changed
    #[arg(long, alias = "dry-run")]
    check: bool,
}

/// The settings that checking a backup reads.
#[derive(Deserialize, Serialize)]
struct CheckSettings {
    #[serde(default)]
    backup: BackupConfig,
    log: LogConfig,
}

/// The settings that restoring it reads besides.
#[derive(Deserialize, Serialize)]
struct RestoreSettings {
    server_id: String,
    database: DatabaseConfig,
    pki: Folder,
    bus: Folder,
}

/// Checks or restores the backup.
pub(super) fn restore(cli: &Cli<impl Sized>, args: &RestoreArgs) -> Result<(), Stop> {
    let config: CheckSettings = cli.load()?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "restore")?;
    let key = sealing::key(cli, config.backup, args.identity.as_deref())?;
    if args.check {
        let contents = verify(&args.from, &key).map_err(anyhow::Error::from)?;
        let told = told(&contents);
        return Err(Stop::Done(format!("{}: sound\n{told}", args.from.display())));
    }
    let config: RestoreSettings = cli.load()?;
    config.database.check(cli)?;
    let to = Destination {
        database: config.database,
        pki: config.pki.dir,
        bus: config.bus.dir,
        settings: args.settings_to.clone(),
        server_id: config.server_id,
    };
    let restored = process::block_on(restore_backup(&args.from, key, &to))?.map_err(anyhow::Error::from)?;
    let told = told(&restored);
    Err(Stop::Done(format!(
        "{}: restored\n{told}{}",
        args.from.display(),
        next_steps(&to)
    )))
}

fn told(Contents { heading, manifest }: &Contents) -> String {
    format!(
        "  made      {} on {} by {} {}\n  holds     {} users, {} rows, {} files\n",
        shown_time(heading.made_at),
        heading.host,
        heading.server_id,
        heading.version,
        manifest.rows_of("users"),
        manifest.rows(),
        manifest.files()
    )
}

fn next_steps(to: &Destination) -> String {
    let bus = to.bus.display();
    format!(
        "  keys      {}, {bus}\n\
         Next:\n  \
         1. nats-server -c {bus}/nats-server.conf   (where BUS_DIR is another folder than before: first bus-init --dir {bus})\n  \
         2. vpnmanager-management restore-review    says what the fleet knows and the backup does not\n  \
         3. vpnmanager-management restore-decide --keep fleet, or --keep file\n\
         Until 3. is done management publishes nothing and answers no node; VPN sessions go on.\n",
        to.pki.display()
    )
}
