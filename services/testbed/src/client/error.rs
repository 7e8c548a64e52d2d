//! Errors of clients.

use std::io;

use crate::{binaries::Missing, process::SpawnError};

/// A client could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// OpenVPN is not installed.
    #[error("OpenVPN is missing")]
    Missing(#[from] Missing),
    /// Its profile could not be written.
    #[error("cannot write the profile {file}")]
    Profile {
        /// File.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It shall use one port only, and its profile has no server there.
    #[error("the profile names no server at port {port}")]
    NoServer {
        /// Port.
        port: u16,
    },
    /// It did not start.
    #[error("cannot start the OpenVPN client")]
    Spawn(#[from] SpawnError),
}
