//! Checks the `server.conf` of an OpenVPN that the operator runs himself.

mod accounts;
mod checks;
mod directives;
mod expected;
mod finding;
mod parameters;
mod traffic;
mod watch;
mod way_in;
mod words;

pub use self::{
    checks::lint,
    expected::Expected,
    finding::{Finding, Severity},
    watch::LintedConf,
    words::{BadLine, words},
};
