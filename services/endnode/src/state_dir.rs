//! The state folder: where everything of this node lies.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use vpnmanager_nats::listeners::Listener;

use crate::listening::suffix_of;

/// The layout below `state_dir`.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
}

/// Held as long as the agent runs: two agents on one state folder would undo each other's work.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// The state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It cannot be made or entered.
    #[error("preparing the folder {} failed", path.display())]
    Prepare {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system gives no lock, as on a network file system without a lock service.
    #[error("locking the state folder {} failed; STATE_DIR must be on a local file system", path.display())]
    Lock {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another agent uses it.
    #[error("another agent runs with the state folder {}", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
}

impl StateDir {
    /// The folder at this place; nothing is made yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Makes the folders. Other accounts may pass through the root and cannot list it (0711): OpenVPN reads the allow-list below
    /// it as an account without rights.
    pub fn prepare(&self) -> Result<(), StateDirError> {
        make(&self.root, 0o711)?;
        make(&self.openvpn(), 0o700)?;
        make(&self.profiles(), 0o700)
    }

    /// Takes the folder for this process, until the process ends.
    ///
    /// # Errors
    /// When another process has it, or the system gives no lock.
    pub fn lock(&self) -> Result<StateLock, StateDirError> {
        let path = self.root.join("agent.lock");
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = opened.map_err(|source| StateDirError::Prepare { path, source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(StateLock { _file: file }),
            Err(errno) => Err(self.lock_failed(errno)),
        }
    }

    fn lock_failed(&self, errno: Errno) -> StateDirError {
        let path = self.root.clone();
        if errno == Errno::WOULDBLOCK {
            return StateDirError::Taken { path };
        }
        let source = errno.into();
        StateDirError::Lock { path, source }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Who the node is: `identity.json`.
    pub fn identity(&self) -> PathBuf {
        self.root.join("identity.json")
    }

    /// The seed of the bus key: `node.nk`.
    pub fn bus_key(&self) -> PathBuf {
        self.root.join("node.nk")
    }

    /// The bus credential in the form that NATS tools take: `node.creds`.
    pub fn bus_credentials(&self) -> PathBuf {
        self.root.join("node.creds")
    }

    /// The CA of the bus servers' certificates: `bus-ca.pem`.
    pub fn bus_ca(&self) -> PathBuf {
        self.root.join("bus-ca.pem")
    }

    /// The CA of a bus that is only tried: `bus-ca.tried.pem`.
    pub fn tried_bus_ca(&self) -> PathBuf {
        self.root.join("bus-ca.tried.pem")
    }

    /// The journal: `journal.db`.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.db")
    }

    /// The generated key of the local API: `api.key`.
    pub fn api_key(&self) -> PathBuf {
        self.root.join("api.key")
    }

    /// The allow-list of the first listener: `allow/`.
    pub fn allow(&self) -> PathBuf {
        self.allow_of(None)
    }

    /// The allow-list of a listener `beside` the first: `allow.tcp443/`. Without one it is [`Self::allow`].
    pub fn allow_of(&self, beside: Option<Listener>) -> PathBuf {
        self.root.join(format!("allow{}", suffix_of(beside)))
    }

    /// The allow-list of the old listener: `allow.old/`.
    pub fn allow_old(&self) -> PathBuf {
        self.root.join("allow.old")
    }

    /// The serial numbers that the old listener refuses: `revoked.old/`. Like the allow-list it is read by OpenVPN's account.
    pub fn revoked_old(&self) -> PathBuf {
        self.root.join("revoked.old")
    }

    /// The configuration, the log and the secrets of an old listener that the agent runs: `old/`.
    pub fn old(&self) -> PathBuf {
        self.root.join("old")
    }

    /// Which tunnel devices got another MTU from the agent than from OpenVPN: `mtu`.
    pub fn mtu(&self) -> PathBuf {
        self.root.join("mtu")
    }

    /// The `.ovpn` files: `profiles/`.
    pub fn profiles(&self) -> PathBuf {
        self.root.join("profiles")
    }

    /// OpenVPN's configuration, certificate, key and log: `openvpn/`.
    pub fn openvpn(&self) -> PathBuf {
        self.root.join("openvpn")
    }

    /// The fleet's CA: `openvpn/ca.crt`.
    pub fn ca(&self) -> PathBuf {
        self.openvpn().join("ca.crt")
    }

    /// The server's certificate: `openvpn/node.crt`.
    pub fn certificate(&self) -> PathBuf {
        self.openvpn().join("node.crt")
    }

    /// Its key: `openvpn/node.key`.
    pub fn key(&self) -> PathBuf {
        self.openvpn().join("node.key")
    }

    /// The fleet's tls-crypt-v2 key: `openvpn/tls-crypt-v2.key`.
    pub fn tls_crypt_v2(&self) -> PathBuf {
        self.openvpn().join("tls-crypt-v2.key")
    }
}

fn make(path: &Path, mode: u32) -> Result<(), StateDirError> {
    let made = fs::create_dir_all(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
    made.map_err(|source| StateDirError::Prepare {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use vpnmanager_runtime::error_chain::chain;

    use super::*;

    #[test]
    fn a_lock_that_the_system_does_not_give_is_no_second_agent() {
        let dir = StateDir::new("/mnt/state");
        let held = dir.lock_failed(Errno::WOULDBLOCK);
        assert!(matches!(held, StateDirError::Taken { .. }), "{held}");
        for (errno, cause) in [
            (Errno::NOLCK, "No locks available"),
            (Errno::OPNOTSUPP, "not supported"),
        ] {
            let said = chain(&dir.lock_failed(errno)).to_string();
            assert!(
                said.contains("/mnt/state") && said.contains("local file system") && said.contains(cause),
                "{said}"
            );
            assert!(!said.contains("another agent"), "{said}");
        }
    }
}
