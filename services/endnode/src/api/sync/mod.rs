//! `POST /api/sync/users`: a list of users, applied in the same way as commands of the bus.

mod operation;
mod synced;
mod wanted;

pub(super) use operation::SyncApi;
