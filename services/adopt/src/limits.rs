//! How much a source may have, and what of it is not looked at. What an old server leaves is far below; a source may come from somebody else.

/// The most bytes of a file that is read.
pub const MOST_BYTES: u64 = 64 << 20;
/// The most rows of a database, a list or an index.
pub const MOST_ROWS: usize = 1_000_000;
/// The most files and folders of a source: an authority keeps each certificate twice.
pub const MOST_FILES: usize = 3_000_000;
/// Folders of an authority with private keys and requests, which nothing needs.
pub const UNREAD_FOLDERS: [&str; 4] = ["private", "reqs", "inline", ".git"];
