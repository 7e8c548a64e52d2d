//! The environment variables of this program.
#![expect(
    clippy::disallowed_methods,
    reason = "this program is a tool, not a service: its settings are few, and most come from a context"
)]

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The variable's value, when it is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    set(name).as_deref().map(text)
}

/// The same for one that is a path, whatever its bytes are.
pub(crate) fn path_variable(name: &str) -> Option<PathBuf> {
    set(name).map(PathBuf::from)
}

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What is no text stays a value, and a wrong one: without it another context would be used, or another key.
fn text(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_value_that_is_no_text_counts_as_one_that_is_wrong() {
        assert_eq!(text(OsStr::new("lab")), "lab");
        assert_eq!(text(OsStr::from_bytes(b"l\xe4b")), "l\u{fffd}b");
    }
}
