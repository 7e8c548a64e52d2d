//! What a check finds.

use std::fmt;

/// One thing that the operator should change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// What to change, and why.
    pub message: String,
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Revoked users get in, everybody is cut, or the agent cannot see sessions.
    Error,
    /// It works, but not as well as it could.
    Warning,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.message)
    }
}

/// A finding of [`Severity::Error`].
pub(super) fn error(message: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Error,
        message: message.into(),
    }
}

/// A finding of [`Severity::Warning`].
pub(super) fn warning(message: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Warning,
        message: message.into(),
    }
}

/// A warning that clients are not told of an option, with the line that tells them.
pub(super) fn unpushed(option: &str, why: &str) -> Finding {
    warning(format!("add `push \"{option}\"`: {why}"))
}
