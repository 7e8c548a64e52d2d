//! A running OpenVPN that is certainly ours, held by a descriptor.

use std::{
    ffi::OsStr,
    fs, io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::timeout,
};
use tracing::warn;

use super::{error::StartError, launch::Launch};

/// A running OpenVPN that was started with our configuration file, by this agent or an earlier one.
#[derive(Debug)]
pub(super) struct Found {
    pid: u32,
    descriptor: AsyncFd<OwnedFd>,
}

impl Found {
    /// Looks where the pid file points, and then at all processes: an agent that was killed in the middle of a start
    /// has left a server without a pid file.
    pub(super) fn look_for(launch: &Launch) -> Result<Option<Self>, StartError> {
        let recorded = fs::read_to_string(&launch.pid_file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let Some(process) = recorded.and_then(|pid| Self::hold(pid, launch).transpose()) {
            return process.map(Some);
        }
        let entries = fs::read_dir("/proc").map_err(StartError::Processes)?;
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| Self::hold(pid, launch).transpose())
            .next()
            .transpose()
    }

    /// Checks again after the descriptor is open, so that a reused process id cannot be mistaken for it.
    fn hold(pid: u32, launch: &Launch) -> Result<Option<Self>, StartError> {
        if !is_ours(pid, launch) {
            return Ok(None);
        }
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let descriptor = match pidfd_open(raw, PidfdFlags::NONBLOCK) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(StartError::Watch(error.into())),
        };
        if !is_ours(pid, launch) {
            return Ok(None);
        }
        Ok(Some(Self {
            pid,
            descriptor: watched(descriptor).map_err(StartError::Watch)?,
        }))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns when the process has ended. It need not be a child of ours.
    pub(super) async fn exited(&self) {
        // Only a closed reactor fails here, and then the agent itself is ending.
        _ = self.descriptor.readable().await;
    }

    /// Sends SIGTERM, and SIGKILL when it still runs after `within`.
    pub(super) async fn stop(&self, within: Duration) {
        self.signal(Signal::TERM);
        if timeout(within, self.exited()).await.is_err() {
            warn!(openvpn.pid = self.pid, "OpenVPN did not stop when asked; killing it");
            self.signal(Signal::KILL);
            self.exited().await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) = pidfd_send_signal(&self.descriptor, signal)
            && error != rustix::io::Errno::SRCH
        {
            let error = io::Error::from(error);
            warn!(
                error = %error,
                openvpn.pid = self.pid,
                "Could not signal OpenVPN"
            );
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe only for what is not an OwnedFd: this one stays open and the same"
)]
fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// Whether a process is an OpenVPN of ours. Anybody can start a process with our arguments; only root can open a file in the folder of
/// the log, where OpenVPN writes all the time.
fn is_ours(pid: u32, launch: &Launch) -> bool {
    has_argument(pid, &launch.conf_file)
        && launch
            .log_file
            .parent()
            .is_some_and(|folder| holds_file_in(pid, folder))
}

/// Whether a process was started with `--config <our file>`. One that has ended has no command line any more.
fn has_argument(pid: u32, conf_file: &Path) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    arguments
        .windows(2)
        .any(|pair| pair[0] == b"--config" && OsStr::from_bytes(pair[1]) == conf_file.as_os_str())
}

/// Whether a process has a file of this folder open, also one that was renamed or deleted meanwhile.
fn holds_file_in(pid: u32, folder: &Path) -> bool {
    let (Ok(folder), Ok(descriptors)) = (folder.canonicalize(), fs::read_dir(format!("/proc/{pid}/fd"))) else {
        return false;
    };
    let mut files = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    files.any(|file| file.parent() == Some(&*folder))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use vpnmanager_testbed::wait;

    use super::*;

    fn launch(dir: &Path) -> Launch {
        Launch {
            binary: "false".into(),
            conf_file: dir.join("server.conf"),
            conf: String::new(),
            pid_file: dir.join("openvpn.pid"),
            log_file: dir.join("openvpn.log"),
            run_dir: dir.to_owned(),
        }
    }

    /// A process that waits, with `--config <file>` among its arguments.
    fn impostor(conf_file: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "read line", "sh", "--config"]).arg(conf_file);
        command.stdin(Stdio::piped());
        command
    }

    /// One that writes our log too, as our OpenVPN does.
    fn standing_in(launch: &Launch) -> Child {
        let log = fs::File::create(&launch.log_file).expect("a log");
        impostor(&launch.conf_file).stdout(log).spawn().expect("sh")
    }

    fn end(mut child: Child) {
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    #[tokio::test]
    async fn is_found_without_a_pid_file_and_its_end_is_seen() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let launch = launch(dir.path());
        let child = standing_in(&launch);
        let look = async || Found::look_for(&launch).expect("look");
        let found = wait::until_some(Duration::from_secs(5), "the process", look)
            .await
            .expect("found");
        assert_eq!(found.pid(), child.id());
        found.stop(Duration::from_secs(5)).await;
        end(child);
        assert!(Found::look_for(&launch).expect("look").is_none());
    }

    #[tokio::test]
    async fn a_reused_process_id_is_not_mistaken_for_ours() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let launch = launch(dir.path());
        let other = impostor(&dir.path().join("other.conf")).spawn().expect("sh");
        fs::write(&launch.pid_file, other.id().to_string()).expect("write");
        assert!(Found::look_for(&launch).expect("look").is_none());
        end(other);
    }

    #[tokio::test]
    async fn a_process_that_only_has_our_arguments_is_not_taken_for_ours() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let launch = launch(dir.path());
        let impostor = impostor(&launch.conf_file).spawn().expect("sh");
        let has_started = async || has_argument(impostor.id(), &launch.conf_file);
        wait::until(Duration::from_secs(5), "the impostor", has_started)
            .await
            .expect("started");
        fs::write(&launch.pid_file, impostor.id().to_string()).expect("write");

        assert!(Found::look_for(&launch).expect("look").is_none());

        end(impostor);
    }
}
