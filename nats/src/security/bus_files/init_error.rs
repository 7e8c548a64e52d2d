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
    /// The key of the CA is kept elsewhere.
    #[error(
        "{path} is missing, and each run signs the server's certificate with it: bring it back for this run from where you keep it, and leave \
         everything else in the folder as it is"
    )]
    CaKeyAway {
        /// The file.
        path: PathBuf,
    },
    /// Files of a bus were removed. New keys would lock out everybody who uses the old ones.
    #[error(
        "{dir} holds only a part of a bus: {missing} missing; put back what is missing from a backup of the folder, and leave everything else \
         in it as it is: new keys would lock out management and every node",
        missing = missing.join(", ")
    )]
    FilesLost {
        /// The folder.
        dir: PathBuf,
        /// The missing files.
        missing: Vec<&'static str>,
    },
    /// The first run did not finish, or so many files were removed that it looks like that.
    #[error(
        "{dir} holds only a part of a bus: {missing} missing; put back what is missing from a backup of the folder. Only if there is none because \
         the first run was interrupted, so that no nats-server was ever started with these files: empty the folder and run again",
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
    /// A key of the folder cannot be read.
    #[error("{path} holds no seed; put it back from a backup")]
    Seed {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: nkeys::error::Error,
    },
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
    /// The names of the certificate that there is are to be kept, and are not known.
    #[error(
        "the names in {path} cannot be kept: it is no certificate, or one for names of another kind; give each name by which management and \
         nodes reach the server with --host"
    )]
    FormerNames {
        /// The certificate.
        path: PathBuf,
    },
    /// The certificates could not be created.
    #[error("could not make the certificates")]
    Certificate(#[source] rcgen::Error),
}
