//! Golden files: every shape of every message that was ever shipped still decodes and keeps its meaning.
//!
//! One file per shape, `golden/<family>/<shape>.json`. A shape that changes keeps its old file under
//! `<shape>.<since when>.json`; both must decode. `UPDATE_GOLDEN=1 make one TEST=golden::` writes missing files
//! and never touches one that exists.

pub(crate) mod family;
mod fixed;

mod acks;
mod commands;
mod events;
mod heartbeats;
mod intents;
mod node_requests;
mod sessions;
mod sign;
mod sync;
