//! A part of a stack that does not come up, told with the end of its log.

/// A process did not become ready.
#[derive(thiserror::Error)]
#[error("{name} {reason}; {tail}")]
pub struct NotReady {
    pub(crate) name: String,
    pub(crate) reason: String,
    /// The last lines of its log.
    pub(crate) tail: String,
}

/// As Display: tests unwrap this, and a log with escaped line ends is hard to read.
impl std::fmt::Debug for NotReady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
