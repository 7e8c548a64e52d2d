//! API keys and join tokens.

pub mod authenticate;
pub mod bootstrap;
pub mod create_api_key;
pub mod create_join_token;
pub mod list_api_keys;
pub mod list_join_tokens;
mod new_secret;
pub mod record_uses;
pub mod refuse;
pub mod revoke_api_key;
pub mod revoke_join_token;
pub mod rotate_api_key;
