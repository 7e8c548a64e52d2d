//! The files of one bus: keys, accounts, certificates and the server's configuration.
//!
//! `bus-init` writes them once ([`init`]); management and the testbed read what they need ([`open`]).

pub mod init;
pub mod open;

mod accounts;
mod folder;
mod hosts;
mod init_error;
mod init_request;
mod names;
mod server_config;
mod tls;
