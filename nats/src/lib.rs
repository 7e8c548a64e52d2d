#![doc = include_str!("../README.md")]

mod text;
mod times;

pub mod bounded;

pub mod ids;
pub mod username;

#[cfg(feature = "sea-orm")]
mod columns;

pub mod envelope;
pub mod payload;

pub mod acks;
pub mod commands;
pub mod device;
pub mod endpoint;
pub mod events;
pub mod groups;
pub mod headers;
pub mod heartbeats;
pub mod holdings;
pub mod intents;
pub mod listeners;
pub mod network;
pub mod node_requests;
pub mod old_certificates;
pub mod own_rules;
pub mod reach;
pub mod sessions;
pub mod sign;
pub mod storage;
pub mod store_limit;
pub mod sync;

pub mod permissions;
pub mod subjects;
pub mod topology;

pub mod attempt;
pub mod connect;
pub mod delivery;
pub mod publish;
pub mod security;
