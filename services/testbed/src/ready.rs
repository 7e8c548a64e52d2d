//! The error of a process that does not become ready, with the end of its log.

/// A process did not become ready.
#[derive(thiserror::Error)]
#[error("{name} {reason}; {tail}")]
pub struct NotReady {
    pub(crate) name: String,
    pub(crate) reason: String,
    /// The last lines of its log.
    pub(crate) tail: String,
}

/// The same as `Display`: tests unwrap this error, and a log with escaped line ends is hard to read.
impl std::fmt::Debug for NotReady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
