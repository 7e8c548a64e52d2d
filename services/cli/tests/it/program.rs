//! Runs the program as an operator does.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use vpnmanager_testbed::stack::{Stack, StackOptions};

/// The program with an environment and a home of its own.
pub(crate) struct Program {
    variables: Vec<(&'static str, String)>,
    home: TempDir,
}

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    /// With these variables.
    pub(crate) fn with(variables: &[(&'static str, &str)]) -> Self {
        Self {
            variables: variables
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            home: tempfile::tempdir().expect("a folder"),
        }
    }

    /// For that management, with this key.
    pub(crate) fn at(url: &str, key: &str) -> Self {
        Self::with(&[("MANAGEMENT_URL", url), ("API_KEY", key)])
    }

    /// Its home.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs a command, without a terminal.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    /// The same with something on its standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Ran {
        let mut child = self.start(args);
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that reads nothing may have ended.
        let _closed = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("the program ends");
        Ran {
            code: output.status.code().expect("no signal"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The first line of a command that goes on until it is ended.
    pub(crate) fn first_line(&self, args: &[&str]) -> String {
        let mut child = self.start(args);
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("text");
        child.kill().expect("the program goes on");
        child.wait().expect("the program ends");
        line
    }

    /// The exit code of a command whose output nobody reads after the first line; `None`: it goes on.
    pub(crate) fn closed_after_a_line(&self, args: &[&str]) -> Option<i32> {
        let mut child = self.start(args);
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut String::new()).expect("text");
        drop(out);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().expect("a child") {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        child.kill().expect("the program goes on");
        child.wait().expect("the program ends");
        None
    }

    /// Runs a command whose output nobody reads, not even its beginning: its exit code, and what it says beside.
    pub(crate) fn unread(&self, args: &[&str]) -> (Option<i32>, String) {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let output = self.command(args).stdin(Stdio::null()).stdout(writer).output();
        let output = output.expect("the program ends");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    }

    fn start(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vpnmanager"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home())
            .envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Runs a command that must do what it is asked for, and gives what it prints.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        ran.out
    }

    /// The same as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let out = self.done(&[args, &["--output", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
    }

    /// Runs a command that must fail with this exit code, and gives what it says.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        ran.err
    }
}

/// A management with one node, and the program for it.
pub(crate) async fn start() -> (Stack, Program) {
    start_with(one_node()).await
}

/// The same, started otherwise.
pub(crate) async fn start_with(options: StackOptions) -> (Stack, Program) {
    let stack = Stack::start(options).await.expect("a stack");
    let program = Program::at(&stack.state().management_url(), &stack.state().api_key);
    (stack, program)
}

/// A management with one node, without tunnels.
pub(crate) fn one_node() -> StackOptions {
    StackOptions {
        nodes: 1,
        tunnels: Some(false),
        ..StackOptions::default()
    }
}

/// The mode of a file.
pub(crate) fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).expect("a file").permissions().mode() & 0o777
}
