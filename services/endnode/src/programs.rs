//! Starting other programs of this machine.

use std::path::Path;

use tokio::process::Command;

/// Where a program is looked for when its name is no path, and where it finds others: the folders of distributions.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that gets nothing of the agent's environment, which may have keys and tokens.
pub(crate) fn bare_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", SEARCH_PATH);
    command
}
