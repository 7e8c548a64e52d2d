//! Why `bus-init` failed.

use std::{io, net::SocketAddr, path::PathBuf};

use vpnmanager_secret_file::SecretFileError;

use crate::security::{creds::CredentialsError, jwt::JwtError};

/// Why `bus-init` failed.
#[derive(Debug, thiserror::Error)]
pub enum BusInitError {
    /// Monitoring would show connections and subjects to the network.
    #[error("the monitoring address {address} must be a loopback address, such as 127.0.0.1:8222")]
    MonitorNotLoopback {
        /// The address that was given.
        address: SocketAddr,
    },
    /// A path that the server's configuration cannot hold.
    #[error("the path {path:?} is not UTF-8")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// An earlier run did not finish, or files were removed. New keys would lock out everybody who uses the old ones.
    #[error(
        "{dir} holds only a part of a bus: {missing} missing; put them back from a backup, or, if no node was ever enrolled, empty the folder and run again",
        missing = missing.join(", ")
    )]
    HalfWritten {
        /// The folder.
        dir: PathBuf,
        /// The missing files.
        missing: Vec<&'static str>,
    },
    /// The folder holds other files, and other users may enter it.
    #[error(
        "{dir} holds other files and is open to other users; give the bus a folder of its own, or make this one private (chmod 700)"
    )]
    SharedFolder {
        /// The folder.
        dir: PathBuf,
    },
    /// A file was not read or written.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// A folder was not found, or not made private.
    #[error("could not {action} {path}")]
    Folder {
        /// What was tried.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Keys or tokens could not be created.
    #[error("could not make the accounts")]
    Accounts(#[source] JwtError),
    /// A key could not be encoded.
    #[error("could not encode a key")]
    Key(#[source] nkeys::error::Error),
    /// The credentials could not be written.
    #[error("could not write the credentials")]
    Credentials(#[source] CredentialsError),
    /// A certificate cannot hold this name.
    #[error("{host:?} is no DNS name or IP address")]
    Host {
        /// The name.
        host: String,
    },
    /// The certificates could not be created.
    #[error("could not make the certificates")]
    Certificate(#[source] rcgen::Error),
}
