//! An error with its causes, in one line.

use std::error::Error;
use std::fmt::{self, Display};

/// Shows `error`, then each cause after a colon: what failed, and why. A cause that the error before repeats in its own text, as
/// those of some libraries do, is not said twice.
#[must_use]
pub fn chain<'error>(error: &'error (dyn Error + 'static)) -> impl Display + use<'error> {
    Chain(error)
}

/// The innermost cause in its own words, without the number that Rust adds to those of the system: `Connection refused`.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let innermost = std::iter::successors(Some(error), |&error| error.source()).last();
    let said = innermost.map(ToString::to_string).unwrap_or_default();
    match said.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => said,
    }
}

struct Chain<'error>(&'error (dyn Error + 'static));

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let causes = std::iter::successors(self.0.source(), |cause| (*cause).source());
        for cause in causes {
            let cause = cause.to_string();
            if !said.ends_with(&cause) {
                write!(f, ": {cause}")?;
                said = cause;
            }
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

    #[derive(Debug, thiserror::Error)]
    #[error("the journal cannot be opened: {0}")]
    struct Repeating(#[source] std::io::Error);

    #[test]
    fn a_cause_that_an_error_repeats_is_said_once() {
        let error = Repeating(std::io::Error::other("the disk is full"));
        assert_eq!(
            chain(&error).to_string(),
            "the journal cannot be opened: the disk is full"
        );
    }

    #[test]
    fn the_innermost_cause_is_told_without_its_number() {
        let error = Outer(std::io::Error::from_raw_os_error(111));
        assert_eq!(innermost(&error), "Connection refused");
    }

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
