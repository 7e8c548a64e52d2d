//! Backups.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Setting;

pub(super) const SETTINGS: &[Setting] = &[Setting::new(
    "backup.passphrase",
    "BACKUP_PASSPHRASE",
    "The passphrase that backups are encrypted with",
    "16 characters or more",
)
.secret()];

/// Backups.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct BackupConfig {
    /// BACKUP_PASSPHRASE, or the file named by BACKUP_PASSPHRASE_FILE.
    #[serde(default, serialize_with = "vpnmanager_runtime::config::masked")]
    pub passphrase: Option<SecretString>,
}
