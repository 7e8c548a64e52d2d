//! How the commands for backups find the passphrase or the keys.

use std::path::Path;

use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::Stop;

use crate::backup::{Key, KeyError, Seal};
use crate::config::BackupConfig;

/// The setting that has the passphrase.
const PASSPHRASE: &str = "backup.passphrase";

/// To the recipients that are given, else with the passphrase.
pub(super) fn seal(cli: &Cli<impl Sized>, config: BackupConfig, recipients: &[String]) -> Result<Seal, Stop> {
    if !recipients.is_empty() {
        return Seal::recipients(recipients).map_err(usage);
    }
    let passphrase = config.passphrase.ok_or_else(|| cli.missing(PASSPHRASE))?;
    Seal::passphrase(passphrase).map_err(usage)
}

/// The secret keys of the file that is given, else the passphrase.
pub(super) fn key(cli: &Cli<impl Sized>, config: BackupConfig, identity: Option<&Path>) -> Result<Key, Stop> {
    match identity {
        Some(path) => identities(path),
        None => Key::passphrase(config.passphrase.ok_or_else(|| cli.missing(PASSPHRASE))?).map_err(usage),
    }
}

/// The secret keys of a file.
pub(super) fn identities(path: &Path) -> Result<Key, Stop> {
    Key::from_file(path).map_err(usage)
}

fn usage(error: KeyError) -> Stop {
    Stop::Usage(format!("error: {:#}\n", anyhow::Error::from(error)))
}
