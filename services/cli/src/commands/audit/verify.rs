//! `audit verify`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::management_program::become_it;
use crate::output::{Look, Shape, column, tidy};

const VERIFICATION: Shape = Shape {
    name: "/checkpoint/hash",
    columns: &[
        column("SOUND", "/sound"),
        column("ENTRIES", "/entries"),
        column("UNCHAINED", "/unchained"),
        column("UNPROVEN", "/unproven"),
        column("CHECKPOINT", "/checkpoint/number"),
        column("OF", "/checkpoint/at").shown(Look::Time),
        column("HASH", "/checkpoint/hash"),
    ],
};

const FINDING: Shape = Shape {
    name: "/entry",
    columns: &[
        column("FAULT", "/fault"),
        column("ENTRY", "/entry"),
        column("WHAT", "/detail"),
    ],
};

/// How much of the trail.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// How many of the newest entries, up to 100,000 [default: 10,000]
    #[arg(long, value_name = "NUMBER")]
    entries: Option<u64>,
    /// File to verify on this machine, without asking management: an export, an archive or a dump; repeat it for each. Runs vpnmanager-management
    /// audit-verify
    #[arg(long, value_name = "FILE", requires = "ca", conflicts_with = "entries")]
    file: Vec<PathBuf>,
    /// The files are a part of the trail: what was before it is not missed
    #[arg(long, requires = "file")]
    part: bool,
    /// File with the certificate of the fleet's authority, which signs the checkpoints; former ones follow it
    #[arg(long, value_name = "FILE", requires = "file")]
    ca: Option<PathBuf>,
    /// Hash of a checkpoint that was noted before, which must still be in the files
    #[arg(long, value_name = "HASH", requires = "file")]
    expect: Option<String>,
}

impl Verify {
    /// Becomes the program that verifies files, where there are some. It returns only where that cannot be.
    pub(super) fn run_here(&self) -> Option<Failure> {
        (!self.file.is_empty()).then(|| {
            become_it(
                "audit-verify",
                self.arguments(),
                "verify the files on one that has it; it needs nothing else of management",
            )
        })
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        for file in &self.file {
            arguments.extend([OsString::from("--file"), file.into()]);
        }
        if self.part {
            arguments.push("--part".into());
        }
        if let Some(ca) = &self.ca {
            arguments.extend([OsString::from("--ca"), ca.into()]);
        }
        if let Some(hash) = &self.expect {
            arguments.extend([OsString::from("--expect"), hash.into()]);
        }
        arguments
    }

    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let body = types::AuditVerificationRequest::builder().entries(self.entries.map(Value::from));
        let working = desk.working("Verifying");
        let answer = desk.api.answer(desk.api.verify_audit().body(body).send()).await?;
        drop(working);
        desk.print(&desk.output.brief(&VERIFICATION, &answer)?)?;
        if answer.get("sound").and_then(Value::as_bool) == Some(true) {
            return Ok(());
        }
        let findings = findings(&answer);
        if desk.output.is_for_people() && !findings.is_empty() {
            desk.print(&desk.output.list(&FINDING, findings)?)?;
        }
        Err(Failure::failed(wrong(&answer)))
    }
}

fn findings(answer: &Value) -> &[Value] {
    let findings = answer.get("findings").and_then(Value::as_array);
    findings.map_or(&[][..], Vec::as_slice)
}

/// What is wrong, in a line.
fn wrong(answer: &Value) -> String {
    let findings = findings(answer);
    let left_out = answer.get("left_out").and_then(Value::as_u64).unwrap_or_default();
    let count = findings.len() as u64 + left_out;
    let first = findings.first().and_then(|finding| finding.get("detail")?.as_str());
    match first {
        Some(first) => format!(
            "the audit trail is not what was recorded; findings: {count}, the first: {}",
            tidy(first)
        ),
        None => "management does not call the audit trail sound".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_how_much_more() {
        let answer = json!({
            "sound": false,
            "findings": [{ "fault": "changed", "entry": 42, "detail": "the entry 42 was changed" }],
            "left_out": 3
        });
        assert_eq!(
            wrong(&answer),
            "the audit trail is not what was recorded; findings: 4, the first: the entry 42 was changed"
        );
        assert_eq!(wrong(&json!({})), "management does not call the audit trail sound");
    }
}
