//! `completion`: what a shell needs to complete commands, and names that are there.

use std::io;

use clap::Args;
use clap_complete::env::Shells;
use vpnmanager_runtime::process::print;

use crate::failure::Failure;

const PROGRAM: &str = "vpnmanager";
/// By this variable a shell asks this program; clap_complete names it.
const VARIABLE: &str = "COMPLETE";

/// The shells that packages have files for.
pub(crate) const SHELLS_OF_PACKAGES: [&str; 3] = ["bash", "zsh", "fish"];

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

impl Completion {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        print(&registration(&self.shell)?)?;
        Ok(())
    }
}

/// The script that has this shell ask this program.
pub(crate) fn registration(shell: &str) -> io::Result<String> {
    let shells = Shells::builtins();
    let completer = shells
        .completer(shell)
        .ok_or_else(|| io::Error::other(format!("{shell} is not known")))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_asks_this_program() {
        for shell in SHELLS_OF_PACKAGES {
            let script = registration(shell).unwrap();
            assert!(script.contains("COMPLETE") && script.contains("vpnmanager"), "{script}");
        }
        assert!(registration("csh").is_err());
    }
}
