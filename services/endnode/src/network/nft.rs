//! Running nft.

use std::path::PathBuf;

use super::{
    printed::without_counted,
    program::{Program, ProgramError, Wording},
};

/// The one table of the machine's firewall that is ours, of the family `inet`.
pub(super) const TABLE: &str = "vpnmanager";

/// What it says of a table that is not there.
const MISSING: &str = "No such file or directory";

static NFT: Wording = Wording {
    name: "nft",
    missing: "nft is not installed: apt-get install nftables",
    forbidden: "the agent may not change the firewall",
    refused: "nft refused the rules:",
};

/// The program. A script that it refuses changes nothing.
#[derive(Debug, Clone)]
pub(super) struct Nft {
    program: Program,
}

impl Nft {
    pub(super) fn new(program: PathBuf) -> Self {
        Self {
            program: Program::new(program, &NFT),
        }
    }

    /// Carries out a script, all of it or nothing.
    pub(super) async fn load(&self, script: &str) -> Result<(), ProgramError> {
        self.program.run(&["-f", "-"], script, &[]).await.map(drop)
    }

    /// Our table as nft prints it, without what packets change of it; `None` where there is none.
    pub(super) async fn printed(&self) -> Result<Option<String>, ProgramError> {
        let list = ["--stateless", "list", "table", "inet", TABLE];
        let printed = self.program.run(&list, "", &[MISSING]).await?;
        Ok(printed.as_deref().map(without_counted))
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
