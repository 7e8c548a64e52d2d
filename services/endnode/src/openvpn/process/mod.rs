//! The OpenVPN processes of a managed node, one for each listener: found again, started, watched, stopped.
//!
//! Each is started as a daemon of its own and outlives the agent. A new agent finds it by its command line, which names the
//! configuration file that only this listener of the node has, by the program and the account that it runs as, and by when it started where an
//! agent noted that. From then on it holds a descriptor of it, so that no reused process id can be mistaken for it.

mod error;
mod files;
mod launch;
mod status;

mod apparmor;
mod daemon;
mod device;
mod fitness;
mod former;
mod found;
mod held;
mod log_file;
mod other;
mod record;
mod task;

pub use self::{
    files::ServerFiles,
    fitness::{UnfitError, check_machine, check_program, check_tunnel_devices},
    former::{end_first, end_former, end_further},
    launch::Launch,
    log_file::LogKeeper,
    status::{Phase, ProcessStatus},
    task::{ProcessTask, StartConditions, Wanted},
};
