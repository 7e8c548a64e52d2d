//! A login with a profile of somebody's choice at each server that it names, and a ping through the tunnel.
//!
//! The client runs on this machine, and the end of its tunnel in a network namespace of its own: neither the routes nor the addresses of the node
//! change.

mod client;
mod look;
mod profile;
mod pushed;
mod tunnel;

pub(super) use look::{LOGIN, PING, look};
