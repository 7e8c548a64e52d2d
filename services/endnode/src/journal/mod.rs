//! The journal: an embedded SQLite file that holds what this node applied, the keys and profiles it made, and what waits for the bus.
//!
//! Everything else on the node is a projection of it. One thread writes; whatever queued up while it was busy shares the next
//! commit, and with it the one fsync. Reads have connections of their own and never wait for a write.

mod error;
mod open;
mod records;
mod schema;

mod fault;
mod mark;
mod readers;
mod writer;

mod answers;
mod columns;
mod credentials;
mod events;
mod intents;
mod memberships;
mod meta;
mod old_certificates;
mod places;
mod sessions;
mod users;

pub use answers::Known;
pub use credentials::{NewProfile, StoredKey, StoredParts, StoredProfile};
pub use error::JournalError;
pub use intents::QueuedIntent;
pub use memberships::Membership;
pub use meta::Snapshot;
pub use old_certificates::OldGrant;
pub use open::Journal;
pub use readers::peek;
pub use records::Records;
pub use sessions::{NotedSession, UnreportedSession};
pub use users::{Expired, Tally};
