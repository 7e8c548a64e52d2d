//! Who is connected, as the nodes say at this moment, and who was, as the history says; and which sessions are more than a user is allowed.

pub mod end_session;
pub mod list_sessions;

pub mod end_excess;
pub mod find_crowded;
pub mod find_excess;

pub mod close_abandoned;
pub mod read_group_traffic;
pub mod read_history;
pub mod read_traffic;
pub mod record_sessions;
pub mod unheard;

pub(in crate::ops) mod history_lock;

mod last_access;
mod progress;
mod session_owners;
mod session_rows;
mod traffic_days;
