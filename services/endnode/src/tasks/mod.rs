//! What runs as long as the agent does, one file for each task.

pub mod start;

pub mod acks;
pub mod commands;
pub mod issue;
pub mod sync;

pub mod allow_list;
pub mod drain;
pub mod expiry;
pub mod groups;
pub mod network;
pub mod serving;
pub mod session_history;
pub mod sessions;

pub mod events;
pub mod heartbeats;
pub mod intents;
pub mod node_requests;
pub mod session_reports;

pub mod bus_watch;
pub mod housekeeping;
pub mod renewal;
