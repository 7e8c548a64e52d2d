//! What the agent knows of an OpenVPN that the operator runs.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use tokio::sync::watch;
use tracing::warn;
use vpnmanager_nats::{listeners::Listener, network::PoolNetwork};

use super::lint::Expected;

/// What the agent knows of a server that the operator runs.
#[derive(Debug, Clone)]
pub struct ExternalOpenVpn {
    /// What clients dial.
    pub listener: Listener,
    /// What its configuration should say.
    pub expected: Expected,
    /// Its configuration file, checked as it changes; `None` when the operator does not say where it is.
    pub conf_file: Option<PathBuf>,
    /// What management tells of the network of the pool. The configuration is compared with it, and nothing of it is applied.
    pub told: watch::Receiver<Option<PoolNetwork>>,
}

/// After a boot `/run` is empty. OpenVPN does not start without the folder of its socket.
pub(super) fn make_folder_of(socket: &Path) {
    let Some(folder) = socket.parent().filter(|folder| !folder.exists()) else {
        return;
    };
    let made = DirBuilder::new().recursive(true).mode(0o750).create(folder);
    if let Err(error) = made {
        warn!(error = %error, folder = %folder.display(), "The folder of OpenVPN's management socket could not be made");
    }
}
