//! Pools: groups of nodes, what their users reach through the tunnel, and how many nodes each user gets.

pub mod change;
pub mod create;
pub mod read;
pub mod remove;

pub mod ensure;
pub(in crate::ops) mod find_swallowed;
