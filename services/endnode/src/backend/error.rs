//! What can go wrong with a VPN server.

use std::error::Error;

use crate::allow_list::AllowListError;

/// The server could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The allow-list could not be read or written.
    #[error("the allow-list cannot be used")]
    AllowList(#[from] AllowListError),
    /// The agent looks after no server.
    #[error(
        "OPENVPN_MODE is none: the agent sees no OpenVPN and ends no session. End it where OpenVPN runs; with OPENVPN_MODE=external the \
         agent can"
    )]
    NoServer,
    /// The agent looks after no server that it could restart.
    #[error("OPENVPN_MODE is none: the agent runs no OpenVPN. Restart it where it runs")]
    NoneToRestart,
    /// The operator runs the server.
    #[error("OpenVPN of this node is not the agent's (OPENVPN_MODE=external): restart it there")]
    NotOurs,
    /// It would not be started again.
    #[error("this node does not serve at the moment: OpenVPN would not be started again")]
    NotServing,
    /// What the old listener goes by could not be read or written.
    #[error("the files of the old listener cannot be used")]
    OldListener(#[source] Box<dyn Error + Send + Sync>),
    /// The server did not answer, or refused.
    #[error("the VPN server did not do what was asked")]
    Server(#[source] Box<dyn Error + Send + Sync>),
}
