//! Commands that do something else than to ask a management that is known.

mod backup;
mod completion;
mod context;
mod doctor;
mod login;

pub(crate) use backup::Backup;
pub(crate) use completion::{Completion, SHELLS_OF_PACKAGES, registration};
pub(crate) use context::Context;
pub(crate) use doctor::Doctor;
pub(crate) use login::Login;
