//! What the agent asks of a VPN server, whichever it is.
//!
//! [`VpnBackend`] has three forms: a real OpenVPN (`openvpn`), [`FilesOnlyBackend`] for a node whose allow-list another program
//! reads, and [`FakeBackend`] for tests.

mod error;
mod health;
mod look;
mod serving;
mod session;
mod vpn_backend;

mod fake;
mod files_only;

pub use self::{
    error::BackendError,
    fake::FakeBackend,
    files_only::FilesOnlyBackend,
    health::{BackendHealth, BackendState},
    look::Look,
    serving::Serving,
    session::{CutSessions, Parting, Rest, Session, SessionKey},
    vpn_backend::VpnBackend,
};
