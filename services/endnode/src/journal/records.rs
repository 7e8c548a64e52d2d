//! The journal's rows.

use rusqlite::Connection;

/// The rows of the journal, as one transaction or one consistent read sees them. Each file of this folder adds
/// the statements for one kind of row.
#[derive(Debug)]
pub struct Records<'c> {
    pub(super) connection: &'c Connection,
}
