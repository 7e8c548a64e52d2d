//! API keys and join tokens.

pub mod authenticate;
pub mod bootstrap;
pub mod create_join_token;
pub mod list_join_tokens;
pub mod refuse;
pub mod revoke_join_token;
