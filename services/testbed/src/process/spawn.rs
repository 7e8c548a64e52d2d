//! Starts processes that may outlive this one.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::Signal;

use super::{Identity, Log, belongings};
use crate::{
    NotReady,
    wait::{self, TimedOut},
};

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Name for messages.
    pub name: String,
    /// Program, found on PATH when it has no slash.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<OsString>,
    /// The whole environment apart from PATH, HOME, LANG and TMPDIR. No other variable of the operator's shell is passed on.
    pub env: Vec<(String, OsString)>,
    /// Working directory.
    pub dir: PathBuf,
    /// Standard output and error go here, appended.
    pub log: PathBuf,
    /// User and group to run as (only root can choose).
    pub user: Option<(u32, u32)>,
    /// Network namespace to run in.
    pub netns: Option<String>,
    /// The most file descriptors that it may have, where that is fewer than this program may have.
    pub open_files: Option<u32>,
    /// How far it gives way to others: what nice(1) adds.
    pub nice: u8,
}

impl Spec {
    /// A process with no arguments.
    #[must_use]
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, dir: &Path, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: dir.to_path_buf(),
            log: log.into(),
            user: None,
            netns: None,
            open_files: None,
            nice: 0,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds one environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Gives way to others by this much, see nice(1).
    #[must_use]
    pub fn nice(mut self, nice: u8) -> Self {
        self.nice = nice;
        self
    }

    /// Runs inside this network namespace (`ip netns exec` ends in exec: the pid is the program's own).
    #[must_use]
    pub fn netns(mut self, netns: Option<&str>) -> Self {
        self.netns = netns.map(str::to_owned);
        self
    }

    /// The command as `std` takes it, without its standard streams.
    #[must_use]
    pub fn command(&self) -> Command {
        // All of these end in exec: the pid is the program's own.
        let mut words: Vec<OsString> = Vec::new();
        if let Some(netns) = &self.netns {
            words.extend(["ip", "netns", "exec", netns].map(OsString::from));
        }
        if self.nice > 0 {
            words.extend(["nice", "-n", &self.nice.to_string()].map(OsString::from));
        }
        if let Some(files) = self.open_files {
            words.extend(["sh", "-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")].map(OsString::from));
        }
        words.push(self.program.clone().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.args(&self.args).current_dir(&self.dir).env_clear();
        for kept in ["PATH", "HOME", "LANG", "TMPDIR"] {
            if let Some(value) = crate::environment::variable(kept) {
                command.env(kept, value);
            }
        }
        if let Some(folder) = belongings::folder_of(&self.dir) {
            command.env(belongings::MARK, folder);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

/// A process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Its log file could not be opened.
    #[error("cannot open the log {log} of {name}")]
    Log {
        /// Process.
        name: String,
        /// Log file.
        log: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system refused to start it.
    #[error("cannot start {name} ({program})")]
    Start {
        /// Process.
        name: String,
        /// Program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A process that is running or has ended. Dropping this does not end the process: a stack outlives the command that started it.
#[derive(Debug)]
pub struct Process {
    name: String,
    identity: Identity,
    log: Log,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Starts `spec` in its own process group, so that Ctrl-C in the terminal does not reach it.
    pub fn spawn(spec: &Spec) -> Result<Self, SpawnError> {
        let log_error = |source| SpawnError::Log {
            name: spec.name.clone(),
            log: spec.log.display().to_string(),
            source,
        };
        if let Some(parent) = spec.log.parent() {
            fs::create_dir_all(parent).map_err(log_error)?;
        }
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&spec.log)
            .map_err(log_error)?;
        let err = out.try_clone().map_err(log_error)?;
        let start_error = |source| SpawnError::Start {
            name: spec.name.clone(),
            program: spec.program.display().to_string(),
            source,
        };
        let child = spec
            .command()
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(start_error)?;
        let pid = child.id().cast_signed();
        // A child that has ended already has no identity; `alive` then returns false.
        let identity = Identity::of(pid).unwrap_or(Identity { pid, started: 0 });
        Ok(Self {
            name: spec.name.clone(),
            identity,
            log: Log::at(&spec.log),
            child: Mutex::new(Some(child)),
        })
    }

    /// A process that an earlier command started.
    #[must_use]
    pub fn adopt(name: impl Into<String>, identity: Identity, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            identity,
            log: Log::at(log),
            child: Mutex::new(None),
        }
    }

    /// Name for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.identity.pid
    }

    /// The process id with its start time.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether it runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.exit_status().is_none() && self.identity.alive()
    }

    /// How it ended; `None` while it runs, or if another command started it.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_mut()?.try_wait().ok().flatten()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.identity.signal(signal);
    }

    /// Waits for its end.
    pub async fn exited(&self, deadline: Duration) -> Result<Duration, TimedOut> {
        wait::until(
            deadline,
            format!("{} (pid {}) to end", self.name, self.pid()),
            async || !self.alive(),
        )
        .await
    }

    /// SIGTERM, then SIGKILL when it has not ended by the deadline.
    pub async fn stop(&self, deadline: Duration) {
        self.stop_with(Signal::TERM, deadline).await;
    }

    /// `signal`, then SIGKILL when it has not ended by the deadline.
    pub async fn stop_with(&self, signal: Signal, deadline: Duration) {
        self.signal(signal);
        if self.exited(deadline).await.is_err() {
            self.kill().await;
        }
    }

    /// kill -9, and wait for the end.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        // Only a process that is stuck in the kernel survives this, and nothing more can be done.
        let _ = self.exited(Duration::from_secs(10)).await;
    }

    /// Waits until `ready` succeeds. If the process ends, the wait ends too.
    ///
    /// # Errors
    /// If the process ended or the deadline passed; the error contains the last lines of its log.
    pub async fn ready<E: std::fmt::Display>(
        &self,
        deadline: Duration,
        mut ready: impl AsyncFnMut() -> Result<(), E>,
    ) -> Result<Duration, NotReady> {
        let started = std::time::Instant::now();
        let mut ended = false;
        let waited = wait::until_ok(deadline, format!("{} to be ready", self.name), async || {
            if !self.alive() {
                ended = true;
                return Ok(());
            }
            ready().await
        })
        .await;
        match waited {
            Ok(()) if !ended => Ok(started.elapsed()),
            Ok(()) => Err(self.not_ready(match self.exit_status() {
                Some(status) => format!("ended while starting ({status})"),
                None => "ended while starting".to_owned(),
            })),
            Err(timed_out) => Err(self.not_ready(format!("(pid {}) did not become ready: {timed_out}", self.pid()))),
        }
    }

    fn not_ready(&self, reason: String) -> NotReady {
        NotReady {
            name: self.name.clone(),
            reason,
            tail: self.log.tail(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_as_few_descriptors_as_it_was_given_and_its_arguments() {
        let spec = Spec {
            open_files: Some(64),
            ..Spec::new("limited", "sh", Path::new("/"), "/dev/null").args([
                "-c",
                "ulimit -n; echo \"$1\"",
                "sh",
                "a b",
            ])
        };
        let output = spec.command().output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "64\na b\n");
    }
}
