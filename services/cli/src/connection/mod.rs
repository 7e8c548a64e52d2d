//! Where management is, and with which key it is asked: flags, then the environment, then the current context.

mod contexts;
mod find;

pub(crate) use contexts::{Context, Contexts};
pub(crate) use find::{Connection, ConnectionArgs, find, given_key};
