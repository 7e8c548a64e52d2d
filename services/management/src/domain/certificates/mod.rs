//! The certificates of the fleet: what they are for, when their end is told, and when a node gets another one.

pub mod authorities;
pub mod ends;
pub mod kind;
pub mod node;
