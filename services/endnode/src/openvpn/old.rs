//! The OpenVPN of the old listener: another configuration, other keys and another allow-list than those of the node's listeners.

use std::path::PathBuf;

use vpnmanager_nats::listeners::Listener;

use super::{process::Launch, room::Room};
use crate::account::Account;

/// What the agent needs to know of it.
#[derive(Debug, Clone)]
pub struct OldOpenVpn {
    /// What clients dial.
    pub listener: Listener,
    /// Its management socket.
    pub socket: PathBuf,
    /// How the agent runs it; `None` where the operator does.
    pub run: Option<OldRun>,
}

/// How the agent runs it.
#[derive(Debug, Clone)]
pub struct OldRun {
    /// How it is started.
    pub launch: Launch,
    /// The account that it changes to.
    pub account: Account,
    /// Its room for clients.
    pub room: Room,
    /// Why it is not started, in words. One that runs is left as it is, and its clients are cut as ever.
    pub obstacle: Option<String>,
}
