//! Checks the `server.conf` of an OpenVPN that the operator runs himself, also against what the network of the pool asks.

mod accounts;
mod checks;
mod command_line;
mod expected;
mod finding;
mod forwarding;
mod keys;
mod parameters;
mod pool_network;
mod pushed_dns;
mod pushed_ways;
mod running;
mod traffic;
mod watch;
mod way_in;

pub use self::{
    checks::{Checked, lint},
    command_line::CommandLine,
    expected::Expected,
    finding::{Finding, Severity},
    running::{Release, Running},
    watch::LintedConf,
};
