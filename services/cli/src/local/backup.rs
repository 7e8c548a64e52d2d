//! `backup`: a command of management's program, which must run where its database and keys are.

use std::ffi::OsString;

use clap::Args;

use crate::failure::Failure;
use crate::management_program::become_it;

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
        become_it(
            "backup",
            &self.arguments,
            "run `vpnmanager-management backup` where management runs, which has the database, the certificate authority and the keys",
        )
    }
}
