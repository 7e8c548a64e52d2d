//! An import in the API: what the answers hold.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use serde_json::{Value, json};
use uuid::Uuid;
use vpnmanager_openapi::scalar_impls;
use vpnmanager_openapi::time::Timestamp;

use crate::domain::import::outcome::Outcome;
use crate::domain::import::report;
use crate::ops::import::read::{Listed, Recorded};

/// The id of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ImportIdText(pub(super) Uuid);

scalar_impls! {
    ImportIdText, "string", "uuid",
    |schema| {
        schema.pattern = Some("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$".to_owned());
        schema.min_length = Some(36);
        schema.max_length = Some(36);
        schema.example = Some(Value::from("019a5f0c-6e1f-7f7c-8c6c-9f0e2b1a7d3c"));
    },
    |text| ImportIdText::from_str(text),
    |value| Value::from(value.0.to_string())
}

impl FromStr for ImportIdText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Uuid::parse_str(text) {
            // There are other ways to write one.
            Ok(id) if id.to_string() == text => Ok(Self(id)),
            Ok(_) | Err(_) => Err("must be an id as the list has it"),
        }
    }
}

/// What became of a source, or would become of it.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "ImportReport")]
pub(super) struct Report {
    /// The id of the import; absent: nothing was changed, because it was a trial, or because all was as the source says.
    id: Option<String>,
    /// The end-node that the source is of.
    server_id: String,
    /// What the source is called.
    source: String,
    /// SHA-256 of its content, lower-case hex.
    sha256: String,
    /// What kinds of source it was made of.
    kinds: Vec<String>,
    /// How many entries came to what.
    counts: Counts,
    /// The certificate authority of the old server; absent where the source has none.
    authority: Option<Authority>,
    /// What its `server.conf` says; absent where the source has none.
    server: Option<OldServer>,
    /// The entries that say more than that all is well, in the order of the source.
    entries: Vec<Entry>,
    /// How many entries are left out.
    entries_left_out: u64,
    /// What could not be read or carried over, and what concerns the source as a whole.
    remarks: Vec<Remark>,
}

/// How many entries came to what.
#[derive(Debug, Clone, Copy, Object)]
#[oai(rename = "ImportCounts")]
pub(super) struct Counts {
    /// Users that were created.
    created: u64,
    /// Users who were there, and have one more old certificate.
    joined: u64,
    /// Users of whose certificates the source says something else than before.
    changed: u64,
    /// Entries whose user is as the source says.
    unchanged: u64,
    /// Entries that contradict what is there, or another entry.
    conflicts: u64,
    /// Entries that a policy leaves out.
    skipped: u64,
    /// Certificates that the old listener accepts in addition.
    old_certificates: u64,
}

/// The certificate authority of an old server.
#[derive(Debug, Clone, Object)]
#[oai(rename = "OldAuthority")]
struct Authority {
    /// Its name.
    subject: String,
    /// When it ends.
    not_after: Timestamp,
}

/// What the `server.conf` of an old server says.
#[derive(Debug, Clone, Object)]
struct OldServer {
    /// Where its clients connect.
    listeners: Vec<String>,
    /// The networks of its clients.
    networks: Vec<String>,
    /// The `network` of a pool that leads its users to the same, for `PATCH /api/pools/{name}`. It is not set by the import.
    pool_network: Value,
}

/// What became of one user of the source.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "ImportEntry")]
struct Entry {
    /// The name in the source.
    name: String,
    /// The name of the user; absent where there is none.
    username: Option<String>,
    /// What became of it.
    outcome: ImportOutcome,
    /// Why, and what else to know.
    reasons: Vec<String>,
    /// The file of the source.
    file: String,
    /// The line or row in it, from 1.
    line: Option<u64>,
}

/// What to know of a source.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "ImportRemark")]
struct Remark {
    /// The file of the source; empty: it is about the source as a whole.
    file: String,
    /// The line or row in it, from 1.
    line: Option<u64>,
    /// What it is and why.
    text: String,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum ImportOutcome {
    /// A user was created.
    Created,
    /// A user who was there has one more old certificate.
    Joined,
    /// The source says something else of the certificates of the user than before.
    Changed,
    /// All is as the source says.
    Unchanged,
    /// It contradicts what is there, or another entry of the source; nothing was done.
    Conflict,
    /// Nothing was done, as a policy says.
    Skipped,
}

/// An import.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct ListedImport {
    /// Its id. Imports are listed by it, the newest first.
    id: String,
    /// The end-node that the source is of.
    server_id: String,
    /// What the source is called.
    source: String,
    /// SHA-256 of its content, lower-case hex.
    sha256: String,
    /// Who imported it: `key:<name>`, or `command` for a command of management's program.
    imported_by: String,
    /// When it began.
    started_at: Timestamp,
    /// When it was done.
    finished_at: Timestamp,
    /// How many entries came to what.
    counts: Counts,
}

/// An import with its report.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct Import {
    /// Who imported it: `key:<name>`, or `command` for a command of management's program.
    imported_by: String,
    /// When it began.
    started_at: Timestamp,
    /// When it was done.
    finished_at: Timestamp,
    /// What became of the source.
    report: Report,
}

impl ListedImport {
    pub(super) fn of(listed: Listed) -> Self {
        Self {
            id: listed.id.to_string(),
            server_id: listed.server_id.to_string(),
            source: listed.source,
            sha256: listed.sha256,
            imported_by: listed.actor,
            started_at: listed.started_at.into(),
            finished_at: listed.finished_at.into(),
            counts: Counts::of(listed.counts),
        }
    }
}

impl Import {
    pub(super) fn of(recorded: Recorded) -> Self {
        let Recorded { row, report } = recorded;
        Self {
            imported_by: row.actor,
            started_at: row.started_at.into(),
            finished_at: row.finished_at.into(),
            report: Report::of(report),
        }
    }
}

impl Report {
    pub(super) fn of(report: report::Report) -> Self {
        Self {
            id: report.id.map(|id| id.to_string()),
            server_id: report.node.to_string(),
            source: report.source,
            sha256: report.sha256,
            kinds: report.kinds,
            counts: Counts::of(report.counts),
            authority: report.authority.map(|authority| Authority {
                subject: authority.subject,
                not_after: authority.not_after.into(),
            }),
            server: report.server.map(|server| OldServer {
                listeners: server.listeners,
                networks: server.networks,
                pool_network: json!(server.pool_network),
            }),
            entries: report.entries.into_iter().map(Entry::of).collect(),
            entries_left_out: report.entries_left_out,
            remarks: report.remarks.into_iter().map(Remark::of).collect(),
        }
    }
}

impl Counts {
    fn of(counts: report::Counts) -> Self {
        let report::Counts {
            created,
            joined,
            changed,
            unchanged,
            conflicts,
            skipped,
            old_certificates,
        } = counts;
        Self {
            created,
            joined,
            changed,
            unchanged,
            conflicts,
            skipped,
            old_certificates,
        }
    }
}

impl Entry {
    fn of(entry: report::Entry) -> Self {
        Self {
            name: entry.name,
            username: entry.username.map(|name| name.to_string()),
            outcome: entry.outcome.into(),
            reasons: entry.reasons,
            file: entry.file,
            line: entry.line,
        }
    }
}

impl Remark {
    fn of(remark: report::Remark) -> Self {
        let report::Remark { file, line, text } = remark;
        Self { file, line, text }
    }
}

impl From<Outcome> for ImportOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Created => Self::Created,
            Outcome::Joined => Self::Joined,
            Outcome::Changed => Self::Changed,
            Outcome::Unchanged => Self::Unchanged,
            Outcome::Conflict => Self::Conflict,
            Outcome::Skipped => Self::Skipped,
        }
    }
}

const EXAMPLE_ID: &str = "019a5f0c-6e1f-7f7c-8c6c-9f0e2b1a7d3c";
const EXAMPLE_SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn example_counts() -> Counts {
    Counts {
        created: 41,
        joined: 0,
        changed: 0,
        unchanged: 0,
        conflicts: 1,
        skipped: 3,
        old_certificates: 41,
    }
}

fn example_time(seconds: i64) -> Timestamp {
    let at: DateTime<Utc> = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    at.into()
}

impl Example for Report {
    fn example() -> Self {
        let entry = Entry {
            name: "alice".to_owned(),
            username: None,
            outcome: ImportOutcome::Conflict,
            reasons: vec!["the source has this name twice: first in pki/index.txt:3".to_owned()],
            file: "pki/index.txt".to_owned(),
            line: Some(7),
        };
        Self {
            id: Some(EXAMPLE_ID.to_owned()),
            server_id: "endnode-1".to_owned(),
            source: "vpn1.tar.gz".to_owned(),
            sha256: EXAMPLE_SHA256.to_owned(),
            kinds: vec!["easy-rsa 3".to_owned()],
            counts: example_counts(),
            authority: Some(Authority {
                subject: "CN=Easy-RSA CA".to_owned(),
                not_after: example_time(1_858_072_000),
            }),
            server: None,
            entries: vec![entry],
            entries_left_out: 44,
            remarks: Vec::new(),
        }
    }
}

impl Example for ListedImport {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.to_owned(),
            server_id: "endnode-1".to_owned(),
            source: "vpn1.tar.gz".to_owned(),
            sha256: EXAMPLE_SHA256.to_owned(),
            imported_by: "key:admin".to_owned(),
            started_at: example_time(1_795_000_000),
            finished_at: example_time(1_795_000_002),
            counts: example_counts(),
        }
    }
}

impl Example for Import {
    fn example() -> Self {
        Self {
            imported_by: "key:admin".to_owned(),
            started_at: example_time(1_795_000_000),
            finished_at: example_time(1_795_000_002),
            report: Report::example(),
        }
    }
}
