//! The management service: see the crate's documentation.

use std::process::ExitCode;

use vpnmanager_management::{cli::Command, config};
use vpnmanager_runtime::process;

fn main() -> ExitCode {
    process::run(|| {
        let cli = config::SERVICE.parse::<Command>()?;
        Command::run(&cli)
    })
}
