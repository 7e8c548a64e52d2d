//! Checks the `server.conf` of an OpenVPN that the operator runs himself.

mod checks;
mod directives;
mod finding;

pub use self::{
    checks::{lint, lint_text},
    finding::{Finding, Severity},
};
