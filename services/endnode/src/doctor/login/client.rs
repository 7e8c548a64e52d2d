//! A client of OpenVPN for one login.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

use super::pushed::Pushed;
use crate::programs::bare_command;

/// A login takes a second; a server that is away is not waited for.
const WITHIN: Duration = Duration::from_secs(20);
/// How long a client may take to say goodbye.
const END_WITHIN: Duration = Duration::from_secs(3);

/// A client that was let in. Dropped, it ends.
pub(super) struct Connected {
    /// How long that took.
    pub(super) took: Duration,
    /// The addresses that it was told.
    pub(super) pushed: Option<Pushed>,
    child: Child,
    /// Read no more, and kept: a client that can log no more ends.
    _log: Lines<BufReader<ChildStdout>>,
}

/// Why a client was not let in.
#[derive(Debug)]
pub(super) enum Ended {
    /// The server says that it may not log in.
    Refused,
    /// Nothing happened in time; the last line of its log.
    Silent(String),
    /// It ended, or could not be started; why.
    Failed(String),
}

/// Starts a client with this configuration, which it reads from its standard input: it has a private key.
pub(super) async fn connect(binary: &Path, conf: &SecretString) -> Result<Connected, Ended> {
    let failed = |error: std::io::Error| Ended::Failed(error.to_string());
    let began = Instant::now();
    let mut command = bare_command(binary);
    command.args(["--config", "stdin"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Ended::Failed("it has no standard input".to_owned()));
    };
    stdin.write_all(conf.expose_secret().as_bytes()).await.map_err(failed)?;
    // The end of the configuration.
    drop(stdin);
    let mut heard = Heard::default();
    let mut log = BufReader::new(stdout).lines();
    let listened = tokio::time::timeout(WITHIN, heard.listen(&mut log)).await;
    match listened {
        Ok(Ok(())) => Ok(Connected {
            took: began.elapsed(),
            pushed: heard.pushed,
            child,
            _log: log,
        }),
        Ok(Err(ended)) => Err(ended),
        Err(_elapsed) => Err(Ended::Silent(heard.last)),
    }
}

impl Connected {
    /// Ends it, and waits until it has ended: the next one has the same device.
    pub(super) async fn end(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // One that has ended needs no signal. One that does not end in time is killed when it is dropped.
            _ = kill_process(pid, Signal::TERM);
            _ = tokio::time::timeout(END_WITHIN, self.child.wait()).await;
        }
    }
}

/// What a client has said so far.
#[derive(Debug, Default)]
struct Heard {
    pushed: Option<Pushed>,
    last: String,
}

impl Heard {
    /// Until it is let in.
    async fn listen(&mut self, log: &mut Lines<BufReader<ChildStdout>>) -> Result<(), Ended> {
        loop {
            let line = match log.next_line().await {
                Ok(Some(line)) => line,
                Ok(None) => return Err(Ended::Failed(std::mem::take(&mut self.last))),
                Err(error) => return Err(Ended::Failed(error.to_string())),
            };
            if line.contains("AUTH_FAILED") {
                return Err(Ended::Refused);
            }
            self.pushed = self.pushed.or_else(|| Pushed::read(&line));
            if line.contains("Initialization Sequence Completed") {
                return Ok(());
            }
            self.last = line;
        }
    }
}
