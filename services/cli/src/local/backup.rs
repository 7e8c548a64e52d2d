//! `backup`: a command of management's program, which must run where its database and keys are.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::Args;

use crate::failure::Failure;

const PROGRAM: &str = "vpnmanager-management";

/// What to hand on.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Arguments for vpnmanager-management backup, such as --dir /var/backups/vpnmanager
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Backup {
    /// Becomes that program. It returns only where that cannot be.
    pub(crate) fn run(&self) -> Failure {
        let error = Command::new(PROGRAM).arg("backup").args(&self.arguments).exec();
        if error.kind() != ErrorKind::NotFound {
            return Failure::failed(format!("cannot run {PROGRAM}: {error}"));
        }
        Failure::failed(format!(
            "{PROGRAM} is not on this machine: run `{PROGRAM} backup` where management runs, which has the database, the certificate \
             authority and the keys"
        ))
    }
}
