//! `vpnmanager-testbed`: the program that `make demo`, `make up` and similar targets run.

mod attack;
mod bench;
mod chaos;
mod cli;
mod demo;
mod giving_way;
mod interrupt;
mod screen;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let command = cli::Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return screen::failed(&error.into()),
    };
    match runtime.block_on(command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => screen::failed(&error),
    }
}
