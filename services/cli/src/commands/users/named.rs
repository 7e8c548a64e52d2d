//! How users are named on the command line.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::names;

/// One user.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The user
    #[arg(value_name = "USER", add = ArgValueCompleter::new(names::users))]
    pub(crate) user: String,
}

/// Several users.
#[derive(Debug, Args)]
pub(crate) struct SeveralNamed {
    /// The users
    #[arg(value_name = "USER", required = true, add = ArgValueCompleter::new(names::users))]
    pub(crate) users: Vec<String>,
}
