//! The command line of operators: see the crate's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    vpnmanager_cli::run()
}
