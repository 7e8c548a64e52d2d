//! Whatever happens to a part of a stack, the fleet ends where PostgreSQL says, and nobody has to help.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

pub(crate) mod records;
mod small_disk;
pub(crate) mod watch;

mod allow_list;
mod backup_restored;
mod bus_lost;
mod conflicts;
mod consumer;
mod database_full;
mod database_restored;
mod disk_full;
mod drift;
mod graceful;
mod journal_lost;
mod many_users;
mod misplaced;
mod moved;
mod node_down;
mod outage;
mod read_only_disk;
mod redelivery;
mod repeated;
mod replicas;
mod revived;
mod unacknowledged;
mod unpublished;
