//! Processes of a stack. They are started detached with their own log file, found again by later commands, and stopped by pid.

mod belongings;
mod identity;
mod log;
mod spawn;

pub(crate) use belongings::belonging_to;
pub use identity::Identity;
pub use log::Log;
pub use spawn::{Process, SpawnError, Spec};
