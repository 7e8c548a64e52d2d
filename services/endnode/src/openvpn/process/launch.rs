//! What OpenVPN is started with.

use std::path::PathBuf;

use super::files::ServerFiles;

/// How a managed OpenVPN is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub binary: PathBuf,
    /// Its configuration file, written at each start.
    pub conf_file: PathBuf,
    /// What that file should say.
    pub conf: String,
    /// Where it writes its process id.
    pub pid_file: PathBuf,
    /// Where the agent notes which process it started or found.
    pub record_file: PathBuf,
    /// Number of the account that it changes to once it runs.
    pub uid: u32,
    /// Where it writes its log.
    pub log_file: PathBuf,
    /// The folder of its management socket, which must exist before it starts.
    pub run_dir: PathBuf,
}

impl Launch {
    /// The same with these files.
    #[must_use]
    pub fn with_files(self, files: ServerFiles) -> Self {
        Self {
            conf_file: files.conf,
            pid_file: files.pid,
            record_file: files.record,
            log_file: files.log,
            ..self
        }
    }

    /// Where it writes what it says before it opens its log.
    pub(super) fn said_file(&self) -> PathBuf {
        self.log_file.with_extension("start")
    }
}
