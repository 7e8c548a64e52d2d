//! Lists of users: the database of an old server, and what people keep in spreadsheets.

mod cells;
mod row;
mod separated;
mod sqlite;

pub(crate) use self::{
    row::UserList,
    separated::read_separated,
    sqlite::{is_database, read_database},
};
