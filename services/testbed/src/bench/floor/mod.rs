//! The least that a create could cost with these building blocks: no API, no rules, no journal, no batching.
//!
//! One chain is: one row committed in PostgreSQL, one message published to JetStream and its ack awaited, the message
//! pulled by a bare consumer, a key with its request, the signature and the files, the ack of the message, and one more
//! row committed.

mod bus;
mod chain;
mod issue;
mod rows;

pub(super) use bus::connect;
pub(super) use chain::{Floor, Span};
