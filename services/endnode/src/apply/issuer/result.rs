//! What came of an order.

use std::sync::Arc;

use vpnmanager_nats::{acks::Outcome, envelope::DecodeError};

use crate::{apply::render::RenderError, journal::JournalError};

/// The result of one order.
#[derive(Debug)]
pub enum IssueResult {
    /// The command is answered.
    Answered(Outcome),
    /// Not at this moment: try again.
    Later(IssueError),
}

/// Why a profile was not made yet.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No key could be made.
    #[error("making a key failed")]
    Key(#[from] rcgen::Error),
    /// The journal failed.
    #[error("journaling a profile failed")]
    Journal(#[source] Arc<JournalError>),
    /// Management did not answer.
    #[error("asking management for certificates failed")]
    Request(#[source] Arc<async_nats::RequestError>),
    /// Its answer cannot be decoded.
    #[error("management's answer about certificates cannot be read")]
    Answer(#[source] Arc<DecodeError>),
    /// It said that it cannot sign at this moment, or its answer lacks this request.
    #[error("management cannot sign at this moment")]
    Unavailable,
    /// The parts are there and do not fit together.
    #[error("a profile cannot be put together")]
    Render(#[source] Arc<RenderError>),
}

impl IssueError {
    /// The same error for another order of the batch.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Key(error) => Self::Key(error.clone()),
            Self::Journal(error) => Self::Journal(error.clone()),
            Self::Request(error) => Self::Request(error.clone()),
            Self::Answer(error) => Self::Answer(error.clone()),
            Self::Unavailable => Self::Unavailable,
            Self::Render(error) => Self::Render(error.clone()),
        }
    }
}
