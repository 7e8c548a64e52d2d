//! Users: the changes and requests of operators and nodes.

pub mod change;
pub mod create;
pub mod create_user;
pub mod creates;
pub mod operation;
pub mod reissue;
pub mod remove;

pub mod accept_intent;
pub mod end_removals;
mod insert;
mod local_limits;
pub mod locked;
pub mod mend_own_groups;
pub(crate) mod next_revision;
mod own_limits;

pub mod effective_limits;
pub mod fetch_profile;
pub mod read;
pub mod record_profile_read;
pub mod waiters;
