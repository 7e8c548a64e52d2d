//! What work on the journal gets to see.

use rusqlite::Connection;

/// The rows of the journal, as one transaction or one consistent read sees them. What can be done with them stands beside each kind
/// of row.
#[derive(Debug)]
pub struct Records<'c> {
    pub(super) connection: &'c Connection,
}
