//! Devices of users. There is no table of them: a user has those that have a credential which is not revoked.

pub mod create;
pub mod read;
pub mod revoke;
