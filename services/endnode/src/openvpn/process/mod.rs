//! The OpenVPN process of a managed node: found again, started, watched, stopped.
//!
//! It is started as a daemon of its own and outlives the agent. A new agent finds it by its command line, which names the
//! configuration file that only this node has, by the program and the account that it runs as, and by when it started where an
//! agent noted that. From then on it holds a descriptor of it, so that no reused process id can be mistaken for it.

mod error;
mod launch;
mod status;

mod daemon;
mod device;
mod fitness;
mod found;
mod log_file;
mod record;
mod task;

pub use self::{
    fitness::{UnfitError, check_machine},
    launch::Launch,
    log_file::LogKeeper,
    status::{Phase, ProcessStatus},
    task::ProcessTask,
};
