//! Who is connected, as the nodes say at this moment, and who was, as the history says.

pub mod end_session;
pub mod list_sessions;

pub mod close_abandoned;
pub mod read_history;
pub mod read_traffic;
pub mod record_sessions;
pub mod unheard;

mod last_access;
mod session_owners;
mod session_rows;
mod traffic_days;
