//! What can be wrong with a configuration. The messages say how to correct it without reading the source.

use std::path::PathBuf;

use thiserror::Error;

use super::setting::Setting;

/// What is wrong with the configuration; the process ends with exit code 2.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// No layer gives a value that is needed.
    #[error("{key} is missing: set {places}; expected {expected}")]
    Missing {
        /// The file key.
        key: String,
        /// Variable, file key and flag, in words.
        places: String,
        /// The values accepted.
        expected: &'static str,
    },
    /// A value that cannot be used.
    #[error("{key} is wrong: {reason} (from {origin}); expected {expected}; set it with {places}")]
    Invalid {
        /// The file key.
        key: String,
        /// What is wrong with it. Holds no secret.
        reason: String,
        /// The layer that the value came from.
        origin: String,
        /// Variable, file key and flag, in words.
        places: String,
        /// The values accepted.
        expected: &'static str,
    },
    /// Keys in the file that no setting has.
    #[error("unknown {} in {}: {}; expected any of {}", if .unknown.len() == 1 { "key" } else { "keys" }, .file.display(), .unknown.join(", "), .expected.join(", "))]
    UnknownKeys {
        /// The file.
        file: PathBuf,
        /// Keys that are not known, dotted.
        unknown: Vec<String>,
        /// Keys that are.
        expected: Vec<String>,
    },
    /// A key that the file has twice: neither value could be taken for the one that is meant.
    #[error("{key} is given more than once in {}", .file.display())]
    Twice {
        /// The file.
        file: PathBuf,
        /// The key, dotted.
        key: String,
    },
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {source}", .file.display())]
    ReadFile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file is not a JSON object.
    #[error("the configuration file {} is not valid JSON: {reason}", .file.display())]
    ParseFile {
        /// The file.
        file: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// The struct asks for a key that the table of settings lacks, or the other way round: a mistake in the service.
    #[error("the configuration does not fit its table of settings: {0}")]
    Table(String),
}

impl ConfigError {
    pub(crate) fn missing(setting: &Setting) -> Self {
        Self::Missing {
            key: setting.key.to_owned(),
            places: setting.places(),
            expected: setting.expected,
        }
    }

    pub(crate) fn invalid(setting: &Setting, origin: String, reason: String) -> Self {
        Self::Invalid {
            key: setting.key.to_owned(),
            reason,
            origin,
            places: setting.places(),
            expected: setting.expected,
        }
    }
}
