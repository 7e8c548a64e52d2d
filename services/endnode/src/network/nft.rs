//! Running nft.

use std::{
    io,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::printed::without_counted;
use crate::programs::bare_command;

/// The one table of the machine's firewall that is ours, of the family `inet`.
pub(super) const TABLE: &str = "vpnmanager";

/// It takes milliseconds, unless another program holds the firewall.
const WITHIN: Duration = Duration::from_secs(10);
/// What it says of a table that is not there.
const MISSING: &str = "No such file or directory";
/// What it says without the right to change the firewall.
const NOT_PERMITTED: &str = "Operation not permitted";

/// The program.
#[derive(Debug, Clone)]
pub(super) struct Nft {
    program: PathBuf,
}

/// The firewall could not be asked or changed. A script that is refused changes nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum NftError {
    #[error("nft is not installed: apt-get install nftables")]
    NotInstalled,
    #[error(
        "the agent may not change the firewall: run it as root, and give a container NET_ADMIN (`--cap-add NET_ADMIN`)"
    )]
    NotPermitted,
    #[error("nft cannot be run")]
    Run(#[source] io::Error),
    #[error("nft did not end within 10 s")]
    Slow,
    #[error("nft refused the rules: {said}")]
    Refused { said: String },
}

impl Nft {
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Carries out a script, all of it or nothing.
    pub(super) async fn load(&self, script: &str) -> Result<(), NftError> {
        let output = self.run(&["-f", "-"], script).await?;
        match output.status.success() {
            true => Ok(()),
            false => Err(refusal(&output)),
        }
    }

    /// Our table as nft prints it, without what packets change of it; `None` where there is none.
    pub(super) async fn printed(&self) -> Result<Option<String>, NftError> {
        let output = self.run(&["--stateless", "list", "table", "inet", TABLE], "").await?;
        if output.status.success() {
            return Ok(Some(without_counted(&String::from_utf8_lossy(&output.stdout))));
        }
        match String::from_utf8_lossy(&output.stderr).contains(MISSING) {
            true => Ok(None),
            false => Err(refusal(&output)),
        }
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Result<Output, NftError> {
        let mut command = bare_command(&self.program);
        command.args(arguments).kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NftError::NotInstalled),
            Err(error) => return Err(NftError::Run(error)),
        };
        let stdin = child.stdin.take();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // One that ends before it has read all says why by itself.
                _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let ((), output) = timeout(WITHIN, async { tokio::join!(feed, child.wait_with_output()) })
            .await
            .map_err(|_elapsed| NftError::Slow)?;
        output.map_err(NftError::Run)
    }
}

/// Its first line has the reason; those that follow quote the script.
fn refusal(output: &Output) -> NftError {
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains(NOT_PERMITTED) {
        return NftError::NotPermitted;
    }
    let first = said.lines().next().unwrap_or_default().trim();
    NftError::Refused {
        said: if first.is_empty() {
            output.status.to_string()
        } else {
            first.to_owned()
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::*;

    /// A program that does this in place of nft.
    fn standing_in(dir: &Path, script: &str) -> Nft {
        let program = dir.join("nft");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
        Nft::new(program)
    }

    #[tokio::test]
    async fn a_missing_program_is_said_with_what_to_install() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = Nft::new(dir.path().join("none"))
            .load("")
            .await
            .expect_err("no program");
        assert_eq!(error.to_string(), "nft is not installed: apt-get install nftables");
    }

    #[tokio::test]
    async fn what_it_says_is_told_apart() {
        let dir = tempfile::tempdir().expect("a folder");
        let nft = standing_in(dir.path(), "cat >/dev/null; echo 'table'; exit 0");
        nft.load(&"x".repeat(1 << 20)).await.expect("it reads all");
        assert_eq!(nft.printed().await.expect("a table").as_deref(), Some("table\n"));

        let nft = standing_in(dir.path(), "echo 'Error: No such file or directory' >&2; exit 1");
        assert_eq!(nft.printed().await.expect("an answer"), None);

        let nft = standing_in(
            dir.path(),
            "echo 'x: Error: Could not process rule: Operation not permitted' >&2; exit 1",
        );
        for error in [
            nft.load("").await.expect_err("refused"),
            nft.printed().await.expect_err("refused"),
        ] {
            assert!(error.to_string().contains("NET_ADMIN"), "{error}");
        }

        let nft = standing_in(
            dir.path(),
            "echo '-:1:1-3: Error: syntax error' >&2; echo 'bad' >&2; exit 1",
        );
        let error = nft.load(&"bad".repeat(1 << 20)).await.expect_err("refused");
        assert_eq!(error.to_string(), "nft refused the rules: -:1:1-3: Error: syntax error");
    }
}
