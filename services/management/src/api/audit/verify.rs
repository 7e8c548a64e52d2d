//! `POST /api/audit/verify`.

use chrono::DateTime;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use crate::api::failure;
use crate::app::App;
use crate::domain::audit_chain::{Finding, Kind, Report};
use crate::ops::audit_chain::verify_last::{VerifyError, verify_last};

/// Entries that are verified when nothing else is said.
const ENTRIES: u32 = 10_000;

/// What is verified.
#[derive(Debug, Object)]
#[oai(example, rename = "AuditVerificationRequest")]
pub(super) struct VerificationRequest {
    /// How many of the newest entries; 10,000 where it is left out.
    #[oai(validator(minimum(value = "1"), maximum(value = "100000")))]
    entries: Option<u32>,
}

/// What came of it.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "AuditVerification")]
pub(super) struct Verification {
    /// Whether nothing is wrong.
    sound: bool,
    /// The entries that were verified.
    entries: u64,
    /// Those of them from before the trail had hashes: nothing is proven of them.
    unchained: u64,
    /// Those after the last checkpoint: that they are all there is not proven yet.
    unproven: u64,
    /// The last checkpoint.
    checkpoint: Option<CheckpointView>,
    /// What is wrong, the oldest entries first; not more than 1000.
    findings: Vec<AuditFinding>,
    /// How many more there are.
    left_out: u64,
}

/// Something that management signed.
#[derive(Debug, Object)]
#[oai(rename = "AuditCheckpoint")]
struct CheckpointView {
    /// Its number.
    number: i64,
    /// When it was made.
    at: Timestamp,
    /// SHA-256 of what was signed, in hexadecimal. Note it elsewhere: `audit-verify --expect` says whether the trail still has it.
    hash: String,
}

/// What was done to the trail.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum AuditFault {
    /// An entry says something else than when it was recorded.
    Changed,
    /// Entries are gone.
    Removed,
    /// An entry was put in.
    Inserted,
    /// An entry is at another place than it was.
    Reordered,
    /// An entry was replaced, or entries beside it were removed.
    Replaced,
    /// The entries fit together, and are others than management signed.
    Rewritten,
    /// A checkpoint is gone, or not signed by management.
    Checkpoint,
    /// An entry cannot be read.
    Unreadable,
}

/// Something that is wrong.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct AuditFinding {
    /// What was done.
    fault: AuditFault,
    /// The entry concerned, or the first one that is there after what is gone.
    entry: Option<i64>,
    /// For people.
    detail: String,
}

pub(super) async fn verify(app: &App, request: &VerificationRequest) -> Result<Verification, ApiError> {
    let entries = request.entries.unwrap_or(ENTRIES);
    let report = verify_last(app, entries.into()).await;
    report.map(Verification::of).map_err(|error| match error {
        VerifyError::Database(error) => failure::database(app, error),
        error @ (VerifyError::Signers(_) | VerifyError::Interrupted) => ApiError::internal(error),
    })
}

impl Verification {
    fn of(report: Report) -> Self {
        Self {
            sound: report.is_sound(),
            entries: report.entries,
            unchained: report.unchained as u64,
            unproven: report.unproven as u64,
            checkpoint: report.last.map(|last| CheckpointView {
                number: last.number,
                at: last.at.into(),
                hash: last.hash,
            }),
            findings: report.findings.into_iter().map(AuditFinding::of).collect(),
            left_out: report.left_out as u64,
        }
    }
}

impl AuditFinding {
    fn of(finding: Finding) -> Self {
        let fault = match finding.kind {
            Kind::Changed => AuditFault::Changed,
            Kind::Removed => AuditFault::Removed,
            Kind::Inserted => AuditFault::Inserted,
            Kind::Reordered => AuditFault::Reordered,
            Kind::Replaced => AuditFault::Replaced,
            Kind::Rewritten => AuditFault::Rewritten,
            Kind::Checkpoint => AuditFault::Checkpoint,
            Kind::Unreadable => AuditFault::Unreadable,
        };
        Self {
            fault,
            entry: finding.id,
            detail: finding.detail,
        }
    }
}

impl Example for VerificationRequest {
    fn example() -> Self {
        Self { entries: Some(ENTRIES) }
    }
}

impl Example for Verification {
    fn example() -> Self {
        Self {
            sound: false,
            entries: 10_000,
            unchained: 0,
            unproven: 3,
            checkpoint: Some(CheckpointView {
                number: 512,
                at: DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default().into(),
                hash: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
            }),
            findings: vec![AuditFinding {
                fault: AuditFault::Changed,
                entry: Some(42),
                detail: "entry 42 is not what was recorded".to_owned(),
            }],
            left_out: 0,
        }
    }
}
