//! What OpenVPN is started with.

use std::path::PathBuf;

use super::files::ServerFiles;

/// How a managed OpenVPN is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub binary: PathBuf,
    /// Its files. Its configuration is written at each start.
    pub files: ServerFiles,
    /// What its configuration should say.
    pub conf: String,
    /// Number of the account that it changes to once it runs.
    pub uid: u32,
    /// The folder of its management socket, which must exist before it starts.
    pub run_dir: PathBuf,
}
