//! A folder among the settings that a command reads.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// PKI_DIR or BUS_DIR, without what else the service needs of the same section.
#[derive(Deserialize, Serialize)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
}
