//! How much of an attack is done.

/// The full form is what `docs/attacks.md` lists; the short form is for `make test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Full,
    Short,
}

impl Size {
    /// A number of messages.
    pub(super) fn count(self, full: u64, short: u64) -> u64 {
        self.pick(full, short)
    }

    /// One of two.
    pub(super) fn pick<T>(self, full: T, short: T) -> T {
        match self {
            Self::Full => full,
            Self::Short => short,
        }
    }
}
