//! A private PostgreSQL.

mod aftermath;
mod cluster;
mod database;
mod pgbouncer;
mod shared;

pub use cluster::{Durability, Postgres, PostgresError};
pub use database::DatabaseError;
pub use pgbouncer::{IGNORED, PgBouncer, PgBouncerError, Pooling, pgbouncer_version, require_pgbouncer};
pub use shared::{SHARED, describe, shared};
