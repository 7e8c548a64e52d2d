//! Why a command did not do what was asked, and its exit code, which scripts go by.

use std::io;
use std::process::ExitCode;

use thiserror::Error;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something else went wrong.
    Failed,
    /// The command line is wrong, or management refuses a value of it.
    Usage,
    /// What the command is about is not there.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// Management does not let this key do it.
    Refused,
    /// Management, or what it asks, cannot be reached.
    Unreachable,
}

impl Kind {
    /// What an answer with this status means.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            400 | 413 | 415 | 422 => Self::Usage,
            401 | 403 => Self::Refused,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            502..=504 => Self::Unreachable,
            _ => Self::Failed,
        }
    }

    /// docs/command-line.md has them.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Refused => 5,
            Self::Unreachable => 6,
        }
    }
}

/// A command that failed: what to tell the operator.
#[derive(Debug, Error)]
#[error("{text}")]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    text: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(Kind::Failed, text)
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Kind::Usage, text)
    }

    /// The same, and which of several things it is about.
    pub(crate) fn of(self, what: &str) -> Self {
        Self::new(self.kind, format!("{what}: {}", self.text))
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.code())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_the_exit_code_that_the_manual_says() {
        let codes = [
            (400, 2),
            (401, 5),
            (403, 5),
            (404, 3),
            (409, 4),
            (410, 3),
            (412, 4),
            (413, 2),
            (415, 2),
            (422, 2),
            (429, 1),
            (500, 1),
            (502, 6),
            (503, 6),
            (504, 6),
        ];
        for (status, code) in codes {
            assert_eq!(Kind::of_status(status).code(), code, "{status}");
        }
    }
}
