//! The result: a table for people, JSON for programs.

mod file;
mod table;

pub(super) use file::store;
pub(super) use table::table;
