//! Users that this node holds.

mod operations;

mod create;
mod delete;
mod read;

mod answers;
mod asker;
mod local_user;

pub(super) use operations::UsersApi;
