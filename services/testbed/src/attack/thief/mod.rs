//! What a thief does with the credential of one node.

mod messages;
mod reading;

pub(in crate::attack) mod acks;
pub(in crate::attack) mod commands;
pub(in crate::attack) mod connections;
pub(in crate::attack) mod events;
pub(in crate::attack) mod everything;
pub(in crate::attack) mod groups;
pub(in crate::attack) mod heartbeats;
pub(in crate::attack) mod history;
pub(in crate::attack) mod intents;
pub(in crate::attack) mod odd;
pub(in crate::attack) mod profiles;
pub(in crate::attack) mod reports;
pub(in crate::attack) mod sessions;
pub(in crate::attack) mod signs;
pub(in crate::attack) mod standing;
pub(in crate::attack) mod syncs;
