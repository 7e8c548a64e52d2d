//! The operations of management, one in each file: a transaction that includes the audit entry, then wake-ups of background tasks.

pub mod users;

pub mod nodes;
pub mod placement;

pub mod credentials;
pub mod publications;
pub mod reports;

pub mod keys;

pub mod audit;
pub mod read_audit;
pub mod sqlstate;
pub mod transact;
