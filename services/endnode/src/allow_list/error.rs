//! What can go wrong with the allow-list.

use std::{io, path::PathBuf};

use vpnmanager_nats::ids::CommonName;

use crate::pushed_file::PushedFileError;

/// The folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum AllowListError {
    /// The folder could not be made, or is no folder.
    #[error("cannot prepare the allow-list folder {}", path.display())]
    Prepare {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No folder was named.
    #[error("a node has at least one listener, and each has an allow-list folder")]
    NoFolder,
    /// What the entries lead to could not be made: everybody would be refused.
    #[error("cannot prepare what the allow-list leads to")]
    Pushed(#[from] PushedFileError),
    /// The folder could not be listed.
    #[error("cannot list the allow-list folder {}", path.display())]
    List {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One file could not be looked at.
    #[error("cannot look up {name} in the allow-list")]
    LookUp {
        /// Which credential.
        name: CommonName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A credential could not be let in.
    #[error("cannot allow {name}")]
    Allow {
        /// Which credential.
        name: CommonName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A credential could not be refused. It may still log in.
    #[error("cannot deny {name}")]
    Deny {
        /// Which credential.
        name: CommonName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// OpenVPN's account cannot search a folder on the way: everybody would be refused.
    #[error(
        "the account {account} of OpenVPN cannot search {} (mode {mode:o}), so everybody is refused: `chmod {class}+x {}`",
        path.display(),
        path.display()
    )]
    Unreachable {
        /// The account that OpenVPN runs as.
        account: String,
        /// The closed folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whose bits count for the account, as chmod(1) calls it.
        class: char,
    },
}
