//! The smallest service as a real process: exit codes, messages, signals.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Cargo builds examples beside the tests.
fn service() -> Command {
    let tests = std::env::current_exe().unwrap();
    let path: PathBuf = tests.parent().unwrap().parent().unwrap().join("examples/service");
    let mut command = Command::new(path);
    command.env_clear().current_dir(std::env::temp_dir());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    service().args(args).envs(env.iter().copied()).output().unwrap()
}

#[test]
fn a_missing_value_ends_it_with_2_and_says_what_to_set() {
    let output = run(&[], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("error: api_key is missing: set environment variable API_KEY"));

    let output = run(&["--mood", "merry"], &[("API_KEY", "k")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("expected patient or suicidal"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn what_it_was_asked_to_print_goes_to_stdout_and_ends_it_with_0() {
    for (args, part) in [
        (&["--print-config"][..], "\"api_key\": \"********\""),
        (&["config-sample"], "\"api_key\": \"change-me\""),
        (&["--help"], "--log-level"),
    ] {
        let output = run(args, &[("API_KEY", "s3cret")]);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            text(&output.stdout).contains(part) && !text(&output.stdout).contains("s3cret"),
            "{args:?}"
        );
    }
}

#[test]
fn a_dead_task_ends_it_with_1_and_is_named() {
    let output = run(&["-mood", "suicidal", "--log-format", "json"], &[("API_KEY", "k")]);
    assert_eq!(output.status.code(), Some(1));
    let log = text(&output.stderr);
    assert!(
        log.contains(r#""task.name":"mood""#) && log.contains("panicked: enough"),
        "{log}"
    );
    assert!(
        log.ends_with("error: stopped because of a dead task: task mood panicked: enough\n"),
        "{log}"
    );
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn sigterm_and_sigint_end_it_with_0() {
    for signal in ["-TERM", "-INT"] {
        let mut child = service().env("API_KEY", "k").stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("Ready") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it was ready");
        }
        send(signal, &child);

        let mut rest = String::new();
        log.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
        assert!(rest.contains("Stopping"), "{rest}");
    }
}

/// What systemd is, as far as a unit sees it.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket }
    }

    /// Reads what it is told until a message has this line.
    fn await_line(&self, line: &str) {
        let mut message = [0; 4096];
        loop {
            let length = self.socket.recv(&mut message).unwrap();
            if text(&message[..length]).lines().any(|told| told == line) {
                return;
            }
        }
    }
}

#[test]
fn systemd_is_told_that_it_is_ready_lives_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::at(&path);
    let mut unit = service();
    unit.env("API_KEY", "k")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000");
    let mut child = unit.stderr(Stdio::null()).spawn().unwrap();

    manager.await_line("READY=1");
    for _ in 0..3 {
        manager.await_line("WATCHDOG=1");
    }
    send("-TERM", &child);
    manager.await_line("STOPPING=1");

    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn why_it_failed_is_the_status_of_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::at(&path);
    let mut unit = service();
    unit.args(["--mood", "suicidal"])
        .env("API_KEY", "k")
        .env("NOTIFY_SOCKET", &path);

    assert_eq!(unit.output().unwrap().status.code(), Some(1));

    manager.await_line("STATUS=error: stopped because of a dead task: task mood panicked: enough");
}
