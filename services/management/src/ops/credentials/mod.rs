//! Credentials: given to a user, and signed for its home node.

pub mod sign;
