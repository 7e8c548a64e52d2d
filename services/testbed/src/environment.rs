//! The environment variables that configure the testbed itself.
#![expect(
    clippy::disallowed_methods,
    reason = "the testbed is a tool, not a service: it has no configuration file and few variables"
)]

use std::ffi::OsString;

/// The variable's value, when it is set.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
