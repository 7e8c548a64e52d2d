//! What a backup says of itself.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::catalog::Table;

/// The format that this release writes. A file of a newer one is refused.
pub const FORMAT: u32 = 1;

/// The first entry: from what the backup was made.
pub(super) const HEADING: &str = "heading.json";
/// The last entry: what must be in it.
pub(super) const MANIFEST: &str = "manifest.json";
/// The entries with rows: `database/<table>/<number>`.
const DATABASE: &str = "database";
/// The entries with the files of the certificate authority.
pub(super) const PKI: &str = "pki";
/// The entries with the files of the bus.
pub(super) const BUS: &str = "bus";
/// The settings in effect, as a configuration file has them.
pub(super) const SETTINGS: &str = "settings/management-config.json";

/// From what a backup was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// [`FORMAT`].
    pub format: u32,
    /// The release of the program that made it.
    pub version: String,
    /// When, by the clock of its machine.
    pub made_at: DateTime<Utc>,
    /// The name of that machine.
    pub host: String,
    /// SERVER_ID of the management whose settings it has.
    pub server_id: String,
    /// The migrations that the database had, in their order.
    pub migrations: Vec<String>,
    /// The tables whose rows follow, each after those that it refers to.
    pub(super) tables: Vec<Table>,
}

/// Only the format, of a heading whose other fields may be of a newer one.
#[derive(Deserialize)]
pub(super) struct Format {
    pub(super) format: u32,
}

/// What is in a backup.
#[derive(Debug)]
pub struct Contents {
    /// From what it was made.
    pub heading: Heading,
    /// All that is in it.
    pub manifest: Manifest,
}

/// What must be in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// All parts, in their order.
    pub parts: Vec<Part>,
}

/// A table, or a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `database/<table>`, or the path of the file.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of them, lower-case hex.
    pub sha256: String,
    /// Rows of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl Manifest {
    /// Rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.parts.iter().filter_map(|part| part.rows).sum()
    }

    /// Rows of one table.
    #[must_use]
    pub fn rows_of(&self, table: &str) -> u64 {
        let name = part_of_table(table);
        let found = self.parts.iter().find(|part| part.name == name);
        found.and_then(|part| part.rows).unwrap_or_default()
    }

    /// How many files it has.
    #[must_use]
    pub fn files(&self) -> usize {
        self.parts.iter().filter(|part| part.rows.is_none()).count()
    }
}

/// The part that has the rows of a table.
pub(super) fn part_of_table(table: &str) -> String {
    format!("{DATABASE}/{table}")
}

/// The part that an entry belongs to, and whether it holds rows.
pub(super) fn part_of(entry: &str) -> (&str, bool) {
    let is_rows = entry.split_once('/').is_some_and(|(first, _)| first == DATABASE);
    match entry.rsplit_once('/') {
        Some((table, _number)) if is_rows => (table, true),
        Some(_) | None => (entry, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_table_are_one_part_and_each_file_is_one() {
        assert_eq!(part_of("database/users/000001"), ("database/users", true));
        assert_eq!(part_of("bus/keys/a.nk"), ("bus/keys/a.nk", false));
        assert_eq!(part_of(SETTINGS), (SETTINGS, false));
    }

    #[test]
    fn rows_and_files_are_counted_apart() {
        let part = |name: &str, rows| Part {
            name: name.to_owned(),
            bytes: 0,
            sha256: String::new(),
            rows,
        };
        let manifest = Manifest {
            parts: vec![
                part("database/users", Some(3)),
                part("database/pools", Some(1)),
                part("pki/ca.pem", None),
            ],
        };
        assert_eq!((manifest.rows(), manifest.files()), (4, 1));
        assert_eq!((manifest.rows_of("users"), manifest.rows_of("nothing")), (3, 0));
    }
}
