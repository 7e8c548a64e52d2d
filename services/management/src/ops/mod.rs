//! The operations of management, one in each file. An operation that changes what an operator sees is one transaction with its audit
//! entry; afterwards it wakes background tasks. The other files hold what operations share: a request to a node, locked rows, waiting.

pub mod devices;
pub mod export;
pub mod groups;
pub mod idempotency;
pub mod import;
pub mod old_certificates;
pub mod users;

pub mod nodes;
pub mod placement;
pub mod pools;
pub mod sessions;

pub mod quotas;

pub mod certificates;

pub mod credentials;
pub mod publications;
pub mod reissues;
pub mod reports;
pub mod restoration;
pub mod rollouts;

pub mod keys;
pub mod links;
pub mod packages;

pub mod archive;
mod asker;
pub mod audit;
pub mod audit_chain;
pub mod audit_room;
pub mod busy;
pub(crate) mod columns;
mod count;
pub(crate) mod database_now;
pub mod due;
pub mod events;
pub mod figures;
pub mod housekeeping;
mod in_batches;
mod in_turn;
pub mod read_audit;
pub mod scope;
pub mod sqlstate;
pub mod transact;
pub mod webhooks;
