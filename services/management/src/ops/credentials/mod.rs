//! Credentials: given to a user, signed for its home node, revoked.

pub mod give;
pub mod revoke;
pub mod sign;
