//! Credentials: a user gets them for its devices, their home node has them signed, and they are revoked.

pub mod devices;
pub mod give;
pub(in crate::ops) mod renew;
pub mod revoke;
pub mod revoke_node;
pub mod sign;
