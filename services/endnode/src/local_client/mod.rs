//! Commands that ask the agent of this machine at the socket of its local API, which needs no key.

mod ask;
mod table;
mod users;

pub use users::{UsersArgs, users};
