//! `share`: runs a command whose tests all use one PostgreSQL.

use std::{ffi::OsString, os::unix::process::ExitStatusExt};

use anyhow::{Context, bail};
use clap::Args;
use tokio::process::Command;
use vpnmanager_testbed::{
    net::has_tunnels,
    postgres::{self, Durability, Postgres},
};

use crate::{interrupt::unless_interrupted, screen::say};

#[derive(Debug, Args)]
pub(crate) struct Share {
    /// The command, for example `cargo nextest run --workspace`
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

impl Share {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if let Err(reason) = has_tunnels() {
            say(format_args!(
                "No tunnels here ({reason}): the tests that need them are skipped."
            ));
        }
        let cluster = Postgres::start(Durability::Fast).await?;
        let [program, arguments @ ..] = self.command.as_slice() else {
            bail!("no command is given");
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env(postgres::SHARED, postgres::describe(&cluster));
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        // Ctrl-C also reaches the command, which ends by itself. The cluster must run until then.
        let status = match unless_interrupted(child.wait()).await {
            Ok(status) => status?,
            Err(_interrupted) => child.wait().await?,
        };
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => bail!("{} ended with {code}", program.display()),
            (None, signal) => bail!(
                "{} was ended by signal {}",
                program.display(),
                signal.unwrap_or_default()
            ),
        }
    }
}
