//! API keys and join tokens.

pub mod authenticate;
pub mod bootstrap;
pub mod create_join_token;
pub mod refuse;
