//! Rules without I/O: who speaks, where a user is placed, what a node is told, how a node is.

pub mod actor;
pub mod clones;
pub mod command;
pub mod health;
pub mod placement;
