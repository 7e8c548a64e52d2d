//! A private PostgreSQL.

mod aftermath;
mod cluster;
mod database;
mod shared;

pub use cluster::{Durability, Postgres, PostgresError};
pub use database::DatabaseError;
pub use shared::{SHARED, describe, shared};
