//! Reads what figures for monitoring need of the database.

pub mod count_users;
pub mod read_certificates;
pub mod read_nodes;
