//! Commands that need no management that is known already.

mod backup;
mod completion;
mod context;
mod login;

pub(crate) use backup::Backup;
pub(crate) use completion::{Completion, SHELLS_OF_PACKAGES, registration};
pub(crate) use context::Context;
pub(crate) use login::Login;
