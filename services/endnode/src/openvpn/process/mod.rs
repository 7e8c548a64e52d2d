//! The OpenVPN process of a managed node: found again, started, watched, stopped.
//!
//! It is started as a daemon of its own and outlives the agent. A new agent finds it by its command line, which names the
//! configuration file that only this node has, and from then on holds a descriptor of it, so that no reused process id
//! can be mistaken for it.

mod error;
mod launch;
mod status;

mod daemon;
mod fitness;
mod found;
mod log_file;
mod task;

pub use self::{
    launch::Launch,
    fitness::{UnfitError, check_machine},
    log_file::LogKeeper,
    status::{Phase, ProcessStatus},
    task::ProcessTask,
};
