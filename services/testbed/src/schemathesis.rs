//! Schemathesis: makes requests from an API description, such as fit it and such as do not, and checks each answer by it.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use tokio::process::Command;

use crate::{
    binaries::{self, Missing},
    require::require,
};

/// An installed Schemathesis.
#[derive(Debug, Clone)]
pub struct Schemathesis {
    folder: PathBuf,
}

/// The result of a run.
#[derive(Debug)]
pub struct Findings {
    /// Whether no answer differed from the description, and every operation could be tried.
    pub holds: bool,
    /// What it printed.
    pub text: String,
}

impl Schemathesis {
    /// The one in `target/tools`.
    ///
    /// # Errors
    /// [`Missing`] when it is not there.
    pub fn find() -> Result<Self, Missing> {
        let target = binaries::target_dir().unwrap_or_else(|| PathBuf::from("target"));
        let folder = target.join("tools/schemathesis");
        if folder.join("bin/schemathesis").is_file() {
            return Ok(Self { folder });
        }
        Err(Missing {
            program: "schemathesis".to_owned(),
            looked: format!("in {}", folder.display()),
            remedy: "`services/testbed/prerequisites.sh --tools schemathesis` installs it. It needs Python 3.11",
        })
    }

    /// Tries what this description says, against the service at `url`. `dir`: an empty folder for what it writes.
    pub async fn run(&self, dir: &Path, (description, url): (&str, &str), args: &[&str]) -> std::io::Result<Findings> {
        let output = Command::new("python3")
            .arg(self.folder.join("bin/schemathesis"))
            .args(["run", description, "--url", url])
            // One worker: with more, Python 3.11 fails now and then.
            .args(["--seed", "1", "--max-examples", "5", "--workers", "1"])
            // Longer than a request may ask to wait.
            .args(["--request-timeout", "65"])
            .args(["--generation-database", "none", "--no-color"])
            .args(args)
            .env("PYTHONPATH", &self.folder)
            .current_dir(dir)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        Ok(Findings::of(&output))
    }
}

impl Findings {
    fn of(output: &Output) -> Self {
        let [told, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        Self {
            holds: output.status.success(),
            text: format!("{told}{errors}"),
        }
    }
}

/// For tests: `Some` if Schemathesis is installed; otherwise prints to standard error that `test` is skipped.
///
/// # Panics
/// If it is not although `VPNMANAGER_REQUIRE_SCHEMATHESIS` is 1 (as on the project's CI).
#[must_use]
pub fn require_schemathesis(test: &str) -> Option<Schemathesis> {
    require(test, "VPNMANAGER_REQUIRE_SCHEMATHESIS", Schemathesis::find())
}
