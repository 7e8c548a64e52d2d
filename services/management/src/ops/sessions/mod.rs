//! Who is connected, as the nodes say at this moment.

pub mod end_session;
pub mod list_sessions;
