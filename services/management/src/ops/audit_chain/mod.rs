//! Signs what the audit trail is, and finds out whether it still is so.

pub mod read_database;
pub mod read_files;
pub mod sign_checkpoint;
mod stretches;
pub mod verify_last;

pub(in crate::ops) use stretches::stretches_of;
