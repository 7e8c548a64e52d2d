//! Checks the `server.conf` of an OpenVPN that the operator runs himself.

mod accounts;
mod checks;
mod command_line;
mod directives;
mod expected;
mod finding;
mod keys;
mod parameters;
mod running;
mod traffic;
mod watch;
mod way_in;
mod words;

pub use self::{
    checks::lint,
    command_line::CommandLine,
    expected::Expected,
    finding::{Finding, Severity},
    running::{Release, Running},
    watch::LintedConf,
    words::{BadLine, words},
};
