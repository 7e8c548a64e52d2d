//! Opens a package to hand it out.

use std::io;
use std::path::Path;

use tokio::fs::File;

use crate::domain::agent_package::AgentPackage;

/// The file of a package in `PACKAGES_DIR`; `None` if it is not there.
pub async fn open(folder: &Path, package: AgentPackage) -> io::Result<Option<File>> {
    match File::open(folder.join(package.to_string())).await {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
