//! What can go wrong with a VPN server.

use std::error::Error;

use crate::allow_list::AllowListError;

/// The server could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The allow-list could not be read or written.
    #[error("allow-list not usable")]
    AllowList(#[from] AllowListError),
    /// The server did not answer, or refused.
    #[error("VPN server did not do as asked")]
    Server(#[source] Box<dyn Error + Send + Sync>),
}
