//! Why a handshake did not come to an end.

use vpnmanager_nats::envelope::DecodeError;

use crate::{apply::ApplyError, journal::JournalError};

/// The handshake did not come to an end.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error("management did not answer")]
    Request(#[from] async_nats::RequestError),
    #[error("management's answer cannot be read")]
    Answer(#[from] DecodeError),
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    #[error("removing users that management does not know failed")]
    Sweep(#[from] ApplyError),
    #[error("the snapshot did not arrive in time")]
    Late,
    #[error("the connection to the bus was renewed before the snapshot arrived")]
    Reconnected,
    #[error("the bus has no consumer for this node")]
    NoConsumer,
    #[error("commands were delivered to an earlier run of the agent; asking for everything again")]
    Stranded,
}
