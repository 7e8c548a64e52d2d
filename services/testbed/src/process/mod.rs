//! Processes of a stack: started detached with a log file of their own, found again by a later command, stopped by pid.

mod belongings;
mod identity;
mod log;
mod spawn;

pub(crate) use belongings::belonging_to;
pub use identity::Identity;
pub use log::Log;
pub use spawn::{Process, SpawnError, Spec};
