//! `vpnmanager-endnode doctor`: looks at everything that a node needs, each thing after those that it needs itself.
//!
//! It changes nothing: it reads the files of the agent, asks the agent, management and the bus, and logs in with a profile that it is given.

mod agent;
mod bus;
mod command;
mod examine;
mod identity;
mod lists;
mod login;
mod machine;
mod management;
mod names;
mod network;
mod ports;
mod server_conf;

pub use command::{DoctorArgs, doctor};
