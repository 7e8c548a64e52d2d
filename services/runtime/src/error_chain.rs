//! An error with its causes, in one line.

use std::error::Error;
use std::fmt::{self, Display};

/// Shows `error`, then each cause after a colon: what failed, and why.
#[must_use]
pub fn chain<'error>(error: &'error (dyn Error + 'static)) -> impl Display + use<'error> {
    Chain(error)
}

struct Chain<'error>(&'error (dyn Error + 'static));

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |cause| (*cause).source());
        for cause in causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the journal cannot be opened")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_after_colons() {
        let error = Outer(std::io::Error::other("the disk is full"));
        assert_eq!(
            chain(&error).to_string(),
            "the journal cannot be opened: the disk is full"
        );
        assert_eq!(chain(&fmt::Error).to_string(), fmt::Error.to_string());
    }
}
