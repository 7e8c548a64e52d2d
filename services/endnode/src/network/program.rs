//! Running the programs that the machine's network is looked at and changed with.

use std::{
    io,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{io::AsyncWriteExt as _, time::timeout};

use crate::programs::bare_command;

/// They take milliseconds, unless another program holds what they want.
const WITHIN: Duration = Duration::from_secs(10);
/// What they say without the right to change something.
const NOT_PERMITTED: &str = "Operation not permitted";

/// A program.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    wording: &'static Wording,
}

/// How people are told of a program that does not do what it should.
#[derive(Debug)]
pub(super) struct Wording {
    /// What it is called.
    pub(super) name: &'static str,
    /// It is not there, and what to do.
    pub(super) missing: &'static str,
    /// The agent has no right to change what it changes.
    pub(super) forbidden: &'static str,
    /// It did not do what was asked; what it says stands behind that.
    pub(super) refused: &'static str,
}

/// A program did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    #[error("{}", of.missing)]
    NotInstalled { of: &'static Wording },
    #[error("{}: run it as root, and give a container NET_ADMIN (`--cap-add NET_ADMIN`)", of.forbidden)]
    NotPermitted { of: &'static Wording },
    #[error("{} cannot be run", of.name)]
    Run {
        of: &'static Wording,
        #[source]
        source: io::Error,
    },
    #[error("{} did not end within 10 s", of.name)]
    Slow { of: &'static Wording },
    #[error("{} {said}", of.refused)]
    Refused { of: &'static Wording, said: String },
}

impl Program {
    pub(super) fn new(path: PathBuf, wording: &'static Wording) -> Self {
        Self { path, wording }
    }

    /// Runs it with these arguments and this input. Gives what it prints; `None` where it fails with one of these texts, by which it says that
    /// what it should look at or change is not there.
    pub(super) async fn run(
        &self,
        arguments: &[&str],
        input: &str,
        absent: &[&str],
    ) -> Result<Option<String>, ProgramError> {
        let output = self.output(arguments, input).await?;
        if output.status.success() {
            return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        match absent.iter().any(|absent| said.contains(absent)) {
            true => Ok(None),
            false => Err(self.refusal(&output, &said)),
        }
    }

    async fn output(&self, arguments: &[&str], input: &str) -> Result<Output, ProgramError> {
        let of = self.wording;
        let mut command = bare_command(&self.path);
        command.args(arguments).kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ProgramError::NotInstalled { of }),
            Err(source) => return Err(ProgramError::Run { of, source }),
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
            .map_err(|_elapsed| ProgramError::Slow { of })?;
        output.map_err(|source| ProgramError::Run { of, source })
    }

    /// The first line of what it says has the reason; those that follow quote what it was given.
    fn refusal(&self, output: &Output, said: &str) -> ProgramError {
        let of = self.wording;
        if said.contains(NOT_PERMITTED) {
            return ProgramError::NotPermitted { of };
        }
        let first = said.lines().next().unwrap_or_default().trim();
        let said = match first.is_empty() {
            true => output.status.to_string(),
            false => first.to_owned(),
        };
        ProgramError::Refused { of, said }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    static WORDING: Wording = Wording {
        name: "tool",
        missing: "tool is not installed",
        forbidden: "the agent may not",
        refused: "tool failed:",
    };

    #[tokio::test]
    async fn what_a_program_does_is_told_apart() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tool");
        let program = Program::new(path.clone(), &WORDING);
        let missing = program.run(&[], "", &[]).await.expect_err("no program");
        assert_eq!(missing.to_string(), "tool is not installed");

        let does = |script: &str| {
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        };
        does("echo \"$*\"; cat");
        let printed = program.run(&["a", "b c"], "input", &["a"]).await.expect("it ends well");
        assert_eq!(printed.as_deref(), Some("a b c\ninput"));

        does("echo 'no such thing' >&2; exit 1");
        let absent = program.run(&[], "", &["nothing", "no such"]).await;
        assert_eq!(absent.expect("it is not there"), None);
        for (script, expected) in [
            (
                "echo 'no such thing' >&2; echo more >&2; exit 1",
                "tool failed: no such thing",
            ),
            ("exit 2", "tool failed: exit status: 2"),
            (
                "echo 'x: Operation not permitted' >&2; exit 1",
                "the agent may not: run it as root, and give a container NET_ADMIN (`--cap-add NET_ADMIN`)",
            ),
        ] {
            does(script);
            let error = program.run(&[], "", &[]).await.expect_err(script);
            assert_eq!(error.to_string(), expected);
        }
    }
}
