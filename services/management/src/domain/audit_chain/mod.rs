//! The audit trail proves itself: each entry carries the hash of the one before it, and signed checkpoints name the last ones. What the hashes are
//! made of, and what was done to a trail that does not fit together.

mod checkpoint;
mod digest;
mod findings;
mod row;
mod signers;
mod trail;
mod walk;

pub use checkpoint::{Head, SignedCheckpoint, Statement, previous_of};
pub use findings::{Finding, Kind};
pub use row::Stretch;
pub use signers::{NoSigner, Signers};
pub use trail::{LastCheckpoint, Report, Trail};
pub use walk::Begins;
