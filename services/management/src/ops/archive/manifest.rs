//! What is beside an archived file, to check it by: also with `sha256sum` and `zcat FILE | wc -l`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::audit_chain::Stretch;

/// The manifest of one archived part of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The name of the file with the entries, in the same folder: JSON lines, gzip.
    pub file: String,
    /// The table that held them.
    pub partition: String,
    /// The entries are from this time on; absent if they begin with the first of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<DateTime<Utc>>,
    /// And from before this time.
    pub ends_at: DateTime<Utc>,
    /// How many entries there are; one on each line.
    pub rows: u64,
    /// The lowest id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_id: Option<i64>,
    /// The highest id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_id: Option<i64>,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// SHA-256 of what is in it, unpacked.
    pub content_sha256: String,
    /// Which places of the chains of the trail are in it: what follows them there is proven without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<Stretch>,
}
