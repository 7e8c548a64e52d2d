//! Imports what an old server left: its users, and the certificates that its node goes on to accept.

pub mod import_source;
pub mod order;
pub mod read;
pub mod record;
pub mod source;

mod amend;
mod budget;
mod create;
mod digest;
mod held;
mod rows;
mod unpack;
