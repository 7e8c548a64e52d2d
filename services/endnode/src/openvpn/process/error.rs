//! What can go wrong when OpenVPN is started or looked for.

use std::{io, path::PathBuf};

use vpnmanager_runtime::secret_file::SecretFileError;

use crate::allow_list::AllowListError;

/// OpenVPN could not be started, or not be found.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("cannot list the processes of this machine")]
    Processes(#[source] io::Error),
    #[error("cannot watch the OpenVPN process")]
    Watch(#[source] io::Error),
    #[error("cannot prepare {}", path.display())]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write OpenVPN's configuration")]
    Conf(#[source] SecretFileError),
    #[error("cannot run {}", binary.display())]
    Run {
        binary: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("members of groups whom the firewall does not hold to their rules could not be refused")]
    Members(#[source] AllowListError),
    #[error("OpenVPN did not become a daemon in time")]
    Slow,
    #[error("OpenVPN refused to start: {said}")]
    Refused { said: String },
    #[error("OpenVPN {found} is too old: 2.5 or newer is needed")]
    TooOld { found: String },
    #[error("OpenVPN ended while starting: {log}")]
    Ended { log: String },
}
