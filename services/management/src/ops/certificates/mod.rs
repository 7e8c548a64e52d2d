//! The certificates of the fleet: which there are, when they end, and those of nodes.

pub mod authorities;
pub mod list;
pub mod node;
pub mod note_running;
pub mod record_own;
pub mod rollover;
pub mod tell_clients;
pub mod tell_ends;

mod record;
