//! What management can do, one file each: a transaction with its audit row, and the wake-up that follows its commit.

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
