//! Publishes placements to the stream of commands.

pub mod make_due;

pub mod claim;
pub mod record;

pub mod ask_directly;

pub mod raise_revisions;
pub mod recognise_stream;
