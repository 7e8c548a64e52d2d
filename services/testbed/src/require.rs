//! What a test needs that not every machine has.

use std::fmt::Display;

use crate::environment;

/// For tests: what was found; otherwise prints to standard error that `test` is skipped, and why.
///
/// # Panics
/// If it was not found although `variable` is 1 (as on the project's CI): tests that must run there must not pass by being skipped.
pub(crate) fn require<T>(test: &str, variable: &str, found: Result<T, impl Display>) -> Option<T> {
    let missing = match found {
        Ok(found) => return Some(found),
        Err(missing) => missing,
    };
    let required = environment::variable(variable).is_some_and(|value| value == "1");
    assert!(
        !required,
        "{test}: {variable} is set, and this cannot be had: {missing}"
    );
    eprintln!("skipped {test}: {missing}");
    None
}
