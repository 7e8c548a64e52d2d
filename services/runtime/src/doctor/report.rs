//! What was found.

use serde::Serialize;

use super::check::{Check, Verdict};

/// What was seen by one check, of one thing.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The id of the check.
    pub id: &'static str,
    /// Whom it is about, where the check looks at several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What the check looks at.
    pub title: &'static str,
    /// How it is.
    pub outcome: Outcome,
    /// What was found; absent where nothing was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Why it is not as it should be, or was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// More, for who asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// How long the look took, in milliseconds.
    pub took_ms: u64,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Not looked at.
    Skipped,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work.
    Failed,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Finding {
    pub(super) fn new(check: &Check, verdict: Verdict) -> Self {
        let (outcome, found, why, mend) = match verdict {
            Verdict::Fine(found) => (Outcome::Ok, Some(found), None, None),
            Verdict::Warning(trouble) => (Outcome::Warning, Some(trouble.found), Some(trouble.why), trouble.mend),
            Verdict::Failed(trouble) => (Outcome::Failed, Some(trouble.found), Some(trouble.why), trouble.mend),
            Verdict::Skipped { why, mend } => (Outcome::Skipped, None, Some(why), mend),
        };
        Self {
            id: check.id,
            of: None,
            title: check.title,
            outcome,
            found,
            why,
            mend,
            details: Vec::new(),
            took_ms: 0,
        }
    }
}

/// Who was examined.
#[derive(Debug, Clone, Serialize)]
pub struct Examined {
    /// The program.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Who was examined.
    #[serde(flatten)]
    pub examined: Examined,
    /// The worst of all outcomes: `ok`, `warning` or `failed`.
    pub outcome: Outcome,
    /// All findings, in the order of the checks.
    pub checks: Vec<Finding>,
}

impl Report {
    /// The report of these findings.
    #[must_use]
    pub fn new(examined: Examined, checks: Vec<Finding>) -> Self {
        let looked_at = checks.iter().map(|finding| finding.outcome);
        let worst = looked_at.filter(|outcome| *outcome != Outcome::Skipped).max();
        Self {
            examined,
            outcome: worst.unwrap_or(Outcome::Ok),
            checks,
        }
    }

    /// The ids of the checks that failed, each once.
    #[must_use]
    pub fn failed(&self) -> Vec<&'static str> {
        let mut failed: Vec<&'static str> = self
            .checks
            .iter()
            .filter(|finding| finding.outcome == Outcome::Failed)
            .map(|finding| finding.id)
            .collect();
        failed.dedup();
        failed
    }

    /// How many findings ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        let same = self.checks.iter().filter(|finding| finding.outcome == outcome);
        same.count()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Trouble, *};

    #[test]
    fn the_worst_outcome_is_that_of_the_report_and_what_was_skipped_is_none() {
        const CHECK: Check = Check::new("disk", "Room on the disk");
        let trouble = || Trouble::new("nearly full", "logs", "rm old.log");
        let fine = || Verdict::Fine("half full".to_owned());
        let skipped = || Verdict::Skipped {
            why: "no disk".to_owned(),
            mend: None,
        };
        for (verdicts, outcome) in [
            (vec![], Outcome::Ok),
            (vec![skipped()], Outcome::Ok),
            (vec![fine(), skipped()], Outcome::Ok),
            (vec![Verdict::Warning(trouble()), fine()], Outcome::Warning),
            (
                vec![fine(), Verdict::Failed(trouble()), Verdict::Warning(trouble())],
                Outcome::Failed,
            ),
        ] {
            let examined = Examined {
                program: "example",
                version: "1.0.0",
            };
            let checks = verdicts.into_iter().map(|verdict| Finding::new(&CHECK, verdict));
            assert_eq!(Report::new(examined, checks.collect()).outcome, outcome);
        }
    }
}
