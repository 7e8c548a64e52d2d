//! Moves whole months of the audit trail from the database into files: written, read back and compared, and only then dropped.

mod archive_months;
mod file;
mod manifest;

pub use archive_months::{ArchiveError, Archived, Order, archive_months, start_of_month};
pub use file::FileError;
pub use manifest::Manifest;
