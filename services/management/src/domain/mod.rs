//! Rules without I/O.

pub mod actor;
pub mod audit_action;

pub mod acks;
pub mod clones;
pub mod command;
pub mod drift;
pub mod health;
pub mod join_token;
pub mod placement;
pub mod refusals;
pub mod signing;
pub mod source_budget;
