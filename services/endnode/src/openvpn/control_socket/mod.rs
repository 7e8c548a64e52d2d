//! The agent's one long connection to OpenVPN's management socket, kept by a task and shared through a handle.
//!
//! The task only observes: OpenVPN serves on when the agent is gone. It ends the session of a client that logs in without
//! being on the allow-list: at once after the login, and for all sessions whenever it has (re)connected.

mod connection;
mod cut;
mod error;
mod handle;
mod task;

pub mod replies;

pub use self::{
    error::ControlError,
    handle::{ControlHandle, Link, Overview},
    task::{ControlTask, Controlled},
};
