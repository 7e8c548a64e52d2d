//! Rules without I/O.

pub mod actor;
pub mod audit_action;
pub mod audit_room;

pub mod acks;
pub mod clones;
pub mod command;
pub mod drift;
pub mod health;
pub mod join_token;
pub mod placement;
pub mod signing;
