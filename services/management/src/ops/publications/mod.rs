//! Placements on their way into the stream of commands.

pub mod claim;
pub mod raise_revisions;
pub mod recognise_stream;
pub mod record;
