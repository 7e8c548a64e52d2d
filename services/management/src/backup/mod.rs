//! Backups: the database, the certificate authority, the keys of the bus and the settings in one encrypted file.
//!
//! The file is [age](https://age-encryption.org/v1) around gzip around tar. The first entry is the [`Heading`], the last one the [`Manifest`]; in
//! between are the rows of each table, in pieces of a few MiB as PostgreSQL's `COPY` writes them, and the files of the folders. So a backup is
//! written and read as a stream, whatever its size, and no program of PostgreSQL is needed.

mod catalog;
mod counter;
mod create;
mod dump;
mod folders;
mod load;
mod manifest;
mod pack;
mod placed;
mod read_error;
mod restore;
mod rotation;
mod seal;
mod unpack;
mod verify;

pub use create::{BackupError, Order, create_backup};
pub use folders::FolderError;
pub use load::LoadError;
pub use manifest::{Contents, FORMAT, Heading, Manifest, Part};
pub use read_error::ReadError;
pub use restore::{Destination, RestoreError, restore};
pub use rotation::{RotationError, keep_newest, name_at};
pub use seal::{Key, KeyError, Seal};
pub use verify::verify;
