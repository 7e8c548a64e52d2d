//! Writes the files of an export into an empty folder that only its owner may enter.

use std::{fs, path::Path};

use sea_orm::DatabaseConnection;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::secret_file::create_dir;

use super::{
    certificates,
    files::{ExportError, new_file},
    old_certificates, users,
};

/// How many of what were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Users.
    pub users: usize,
    /// Certificates of the fleet's authority.
    pub certificates: usize,
    /// Certificates of old servers.
    pub old_certificates: usize,
}

/// Writes `users.csv`, `old-certificates.csv` and `pki/` into the folder, of one node or of all: users whose home it is, and the certificates that it
/// made or accepts.
pub async fn write_files(
    db: &DatabaseConnection,
    folder: &Path,
    node: Option<&NodeId>,
) -> Result<Exported, ExportError> {
    create_dir(folder)?;
    if fs::read_dir(folder)?.next().is_some() {
        return Err(ExportError::NotEmpty(folder.to_owned()));
    }
    Ok(Exported {
        users: users::write(db, new_file(&folder.join("users.csv"))?, node).await?,
        old_certificates: old_certificates::write(db, new_file(&folder.join("old-certificates.csv"))?, node).await?,
        certificates: certificates::write(db, &folder.join("pki"), node).await?,
    })
}
