//! What can go wrong on the management socket.

use std::{error::Error, io};

use crate::allow_list::AllowListError;

/// OpenVPN could not be asked, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens on the socket.
    #[error("cannot connect to OpenVPN's management socket")]
    Unreachable(#[source] io::Error),
    /// The socket accepted and stayed silent: another program holds OpenVPN's only management session.
    #[error("OpenVPN did not greet: another program holds its management socket")]
    NoGreeting,
    /// There is no connection at the moment.
    #[error("OpenVPN's management socket is away")]
    Away,
    /// A command was not answered in time.
    #[error("OpenVPN did not reply in time")]
    Timeout,
    /// OpenVPN closed the connection.
    #[error("OpenVPN closed its management connection")]
    Closed,
    /// The connection failed.
    #[error("the management connection failed")]
    Broken(#[source] io::Error),
    /// A reply came that belongs to no command.
    #[error("OpenVPN's replies are out of step with the commands")]
    OutOfStep,
    /// A value that cannot be sent, such as one with a newline.
    #[error("a value cannot be sent to OpenVPN")]
    Unsendable(#[source] io::Error),
    /// OpenVPN answered with an error.
    #[error("OpenVPN refused: {0}")]
    Refused(String),
    /// OpenVPN answered what cannot be understood.
    #[error("OpenVPN's reply cannot be understood")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
    /// The allow-list could not be read, so no session was checked against it.
    #[error("cannot read who is allowed")]
    AllowList(#[source] AllowListError),
}

impl ControlError {
    /// Whether the connection it happened on can still be used.
    pub(super) fn spares_the_connection(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unreadable(_) | Self::AllowList(_) => true,
            // A command that was not encoded has left its expected reply behind.
            Self::Unsendable(_)
            | Self::Unreachable(_)
            | Self::NoGreeting
            | Self::Away
            | Self::Timeout
            | Self::Closed
            | Self::Broken(_)
            | Self::OutOfStep => false,
        }
    }
}
