//! Credentials: a user gets them, their home node has them signed, and they are revoked.

pub mod give;
pub mod revoke;
pub mod revoke_node;
pub mod sign;
