//! The environment variables of this program.
#![expect(
    clippy::disallowed_methods,
    reason = "this program is a tool, not a service: its settings are few, and most come from a context"
)]

/// The variable's value, when it is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.into_string().ok()?;
    (!value.is_empty()).then_some(value)
}
