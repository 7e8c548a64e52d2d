//! Asks before something is destroyed.

use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;
use vpnmanager_runtime::process::print;

use crate::failure::Failure;

/// Flags of commands that destroy something.
#[derive(Debug, Args)]
pub(crate) struct Sure {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Sure {
    /// Whether only a trial is wanted.
    pub(crate) fn is_trial(&self) -> bool {
        self.dry_run
    }

    /// Whether to go on. `deed` finds out what that means, in words: `remove the user alice, who is on node-1`.
    ///
    /// # Errors
    /// Also where nobody can be asked, and where the answer is no.
    pub(crate) async fn agrees(&self, deed: impl Future<Output = Result<String, Failure>>) -> Result<bool, Failure> {
        if self.yes && !self.dry_run {
            return Ok(true);
        }
        let deed = deed.await?;
        if self.dry_run {
            print(&format!("would {deed}\n"))?;
            return Ok(false);
        }
        ask(&deed)
    }
}

fn ask(deed: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(format!(
            "this would {deed}: say --yes, because nobody can be asked here"
        )));
    }
    write!(io::stderr(), "This will {deed}. Go on? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        _ => Err(Failure::failed("nothing was done")),
    }
}
