//! From the command line to the exit code.

use std::future::Future;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::CompleteEnv;
use vpnmanager_runtime::config::ManualArgs;

use crate::api::Api;
use crate::commands::Asking;
use crate::connection::{ConnectionArgs, find};
use crate::desk::Desk;
use crate::failure::{Failure, Kind};
use crate::local::{Backup, Completion, Context, Doctor, Login};
use crate::manual;
use crate::output::{Output, OutputArgs};

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong command line, 3 not found, 4 conflict, 5 refused, 6 management cannot be reached.

Begin with `vpnmanager login URL`, or set MANAGEMENT_URL and API_KEY_FILE.";

/// Manage the users, groups and nodes of a fleet of OpenVPN servers
#[derive(Debug, Parser)]
#[command(name = "vpnmanager", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Asking(Box<Asking>),
    /// Make a management known: try a key and keep it in a context
    Login(Login),
    /// The managements that are known
    #[command(subcommand)]
    Context(Context),
    /// Look at the way to management, the key and the nodes; say what is wrong, why, and which command mends it
    Doctor(Doctor),
    /// Save management's database, authority, keys and settings; runs where management does
    Backup(Backup),
    /// Print what a shell needs to complete commands and names
    Completion(Completion),
    /// Write the manual pages and the completions of shells into a folder, as packages have them
    Manual(ManualArgs),
}

/// Runs the program: reads this process's command line, does what it says, and gives the exit code.
#[must_use]
pub fn run() -> ExitCode {
    // A shell that completes a command line asks by a variable; otherwise this does nothing.
    CompleteEnv::with_factory(Cli::command).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _closed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.code()));
        }
    };
    match execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _closed = writeln!(io::stderr(), "error: {failure}");
            failure.exit_code()
        }
    }
}

fn execute(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Asking(asking) => {
            if let Some(failure) = asking.run_here() {
                return Err(failure);
            }
            let desk = Desk {
                api: Api::new(&find(&cli.connection)?)?,
                output: Output::new(&cli.output),
            };
            block_on(asking.run(&desk))
        }
        Command::Login(login) => block_on(login.run(&cli.connection)),
        Command::Context(context) => context.run(&Output::new(&cli.output)),
        Command::Doctor(doctor) => block_on(doctor.run(find(&cli.connection)?, &Output::new(&cli.output))),
        Command::Backup(backup) => Err(backup.run()),
        Command::Completion(completion) => completion.run(),
        Command::Manual(args) => Ok(manual::write(Cli::command(), &args.out)?),
    }
}

/// One thread is enough for one request after the other, and starts sooner than several.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_manual_page_and_every_shell_a_completion() {
        let folder = tempfile::tempdir().unwrap();
        manual::write(Cli::command(), folder.path()).unwrap();
        let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
        assert!(read("man/man1/vpnmanager.1").contains("MANAGEMENT_URL"));
        assert!(read("man/man1/vpnmanager-users-create.1").contains("expires"));
        for script in [
            "bash-completion/completions/vpnmanager",
            "zsh/vendor-completions/_vpnmanager",
            "fish/vendor_completions.d/vpnmanager.fish",
        ] {
            assert!(read(script).contains("vpnmanager"), "{script}");
        }
    }

    #[test]
    fn no_help_names_the_value_of_a_secret() {
        // Variables of the environment are read by hand: clap would print the values of those that it knows.
        let with_variables =
            |command: &clap::Command| command.get_arguments().any(|argument| argument.get_env().is_some());
        assert!(!with_variables(&Cli::command()));
    }
}
