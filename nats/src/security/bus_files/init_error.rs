//! Why `bus-init` made no bus.

use std::{io, net::SocketAddr, path::PathBuf};

use vpnmanager_secret_file::SecretFileError;

use crate::security::{creds::CredentialsError, jwt::JwtError};

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum BusInitError {
    /// Monitoring would show connections and subjects to the network.
    #[error("the monitoring address {address} must be a loopback address, such as 127.0.0.1:8222")]
    MonitorNotLoopback {
        /// What was asked for.
        address: SocketAddr,
    },
    /// A path that the server's configuration cannot hold.
    #[error("the path {path:?} is not UTF-8")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A run that did not finish, or files that somebody took away. Making new keys would cut off whoever holds the old ones.
    #[error(
        "{dir} holds only a part of a bus: {missing} missing; put them back from a backup, or, if no node was ever enrolled, empty the folder and run again",
        missing = missing.join(", ")
    )]
    HalfWritten {
        /// The folder.
        dir: PathBuf,
        /// What is not there.
        missing: Vec<&'static str>,
    },
    /// A folder with other things in it, which others may enter.
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
    /// Keys or tokens were not made.
    #[error("could not make the accounts")]
    Accounts(#[source] JwtError),
    /// Keys were not encoded.
    #[error("could not encode a key")]
    Key(#[source] nkeys::error::Error),
    /// Credentials were not written.
    #[error("could not write the credentials")]
    Credentials(#[source] CredentialsError),
    /// A name that no certificate can hold.
    #[error("{host:?} is no DNS name or IP address")]
    Host {
        /// The name.
        host: String,
    },
    /// The certificates were not made.
    #[error("could not make the certificates")]
    Certificate(#[source] rcgen::Error),
}
