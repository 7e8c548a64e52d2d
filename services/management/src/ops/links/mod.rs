//! Links that hand out the profile of a device of a user to whoever has one.

pub mod create;
pub mod list;
pub mod revoke;

pub mod look;
pub mod take;

pub(in crate::ops) mod state;
