//! A running OpenVPN that is certainly ours, held by a descriptor.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Read as _,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;
use tokio::time::timeout;
use tracing::warn;

use super::{
    apparmor::explained,
    error::StartError,
    held::Held,
    launch::Launch,
    log_file::{reason, size_of},
    record::Record,
};
use crate::{
    account::{Database, number_of},
    openvpn::written_conf::value,
    programs::SEARCH_PATH,
};

/// What the kernel adds to the path of a program that was replaced, as an upgrade does.
const REPLACED: &[u8] = b" (deleted)";

/// What `explicit-exit-notify 2` and a busy machine may take.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A running OpenVPN that was started with our configuration file, by this agent or an earlier one.
#[derive(Debug)]
pub(super) struct Found {
    pid: u32,
    /// Bytes of its log that are about an earlier process, or from before it was found.
    logged_before: u64,
    process: Held,
}

impl Found {
    /// Looks where the pid file points, and then at all processes: an agent that was killed in the middle of a start
    /// has left a server without a pid file. Notes which process it is, for the next agent.
    pub(super) fn look_for(launch: &Launch) -> Result<Option<Self>, StartError> {
        let noted = Record::read(launch);
        let found = Self::search(launch, noted.as_ref())?;
        if let Some(found) = &found {
            let record = Record::of(found.pid).filter(|record| noted.as_ref() != Some(record));
            record.iter().for_each(|record| record.write(launch));
        }
        Ok(found)
    }

    fn search(launch: &Launch, noted: Option<&Record>) -> Result<Option<Self>, StartError> {
        let hold = |pid| Self::hold(pid, launch, noted).transpose();
        let recorded = fs::read_to_string(&launch.files.pid)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let Some(process) = recorded.and_then(hold) {
            return process.map(Some);
        }
        let entries = fs::read_dir("/proc").map_err(StartError::Processes)?;
        let mut pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.find_map(hold).transpose()
    }

    /// Checks again after the descriptor is open, so that a reused process id cannot be mistaken for it.
    fn hold(pid: u32, launch: &Launch, noted: Option<&Record>) -> Result<Option<Self>, StartError> {
        if !is_ours(pid, launch, noted) {
            return Ok(None);
        }
        let Some(process) = Held::open(pid).map_err(StartError::Watch)? else {
            return Ok(None);
        };
        if !is_ours(pid, launch, noted) {
            return Ok(None);
        }
        Ok(Some(Self {
            pid,
            logged_before: size_of(&launch.files.log),
            process,
        }))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The same one, whose log had so many bytes before it was started.
    pub(super) fn that_logs_behind(self, logged_before: u64) -> Self {
        Self { logged_before, ..self }
    }

    /// Why it ended, from what the log got since it was started or found, and what may be the cause.
    pub(super) fn last_words(&self, launch: &Launch) -> String {
        explained(reason(&launch.files.log, self.logged_before))
    }

    /// Returns when the process has ended. It need not be a child of ours.
    pub(super) async fn exited(&self) {
        self.process.exited().await;
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
        if let Err(error) = self.process.signal(signal) {
            warn!(
                error = %error,
                openvpn.pid = self.pid,
                "Could not signal OpenVPN"
            );
        }
    }
}

/// Whether a process is an OpenVPN of ours. Anybody can start a process with our arguments; only root can open a file in the folder of
/// the log, where OpenVPN writes all the time. A program of root's that does both, such as one that looks at the log, is told by its
/// account, its start and its executable.
fn is_ours(pid: u32, launch: &Launch, noted: Option<&Record>) -> bool {
    has_argument(pid, &launch.files.conf)
        && launch
            .files
            .log
            .parent()
            .is_some_and(|folder| holds_file_in(pid, folder))
        && effective_uid(pid).is_some_and(|uid| may_run_as(uid, launch))
        && match noted.filter(|noted| noted.pid == pid) {
            // The very process: its program may have been moved or replaced, and OPENVPN_BINARY changed.
            Some(noted) => Record::of(pid).as_ref() == Some(noted),
            None => runs_program_of(pid, launch),
        }
}

/// Whether OpenVPN may have this account: ours until it has started, then the one that it was told.
fn may_run_as(uid: u32, launch: &Launch) -> bool {
    if uid == rustix::process::geteuid().as_raw() || uid == launch.uid {
        return true;
    }
    // It may have been started before OPENVPN_USER was changed.
    let conf = fs::read_to_string(&launch.files.conf).unwrap_or_default();
    value(&conf, "user").is_some_and(|user| number_of(Database::Users, user).is_ok_and(|number| number == uid))
}

/// The account whose rights a process has.
fn effective_uid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Whether a process runs a program of the name of ours. A name, and not a path: the next release may lie elsewhere, and a script or a program
/// that is gone does not say what it runs.
fn runs_program_of(pid: u32, launch: &Launch) -> bool {
    match (program_name(&launch.binary), executable_name(pid)) {
        (Some(wanted), Some(found)) => wanted == found,
        (None, Some(_)) => true,
        (Some(_) | None, None) => false,
    }
}

/// The file name of what a process runs, as it was before it was replaced.
fn executable_name(pid: u32) -> Option<OsString> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = path.file_name()?.as_bytes();
    Some(OsStr::from_bytes(name.strip_suffix(REPLACED).unwrap_or(name)).to_owned())
}

/// The file name of the program that `binary` stands for. `None` for a script, and where there is none.
fn program_name(binary: &Path) -> Option<OsString> {
    let is_a_path = binary.components().count() > 1;
    let found: Option<PathBuf> = if is_a_path {
        binary.canonicalize().ok()
    } else {
        let mut folders = SEARCH_PATH.split(':').map(Path::new);
        folders.find_map(|folder| folder.join(binary).canonicalize().ok())
    };
    let program = found?;
    let mut beginning = [0; 2];
    File::open(&program).ok()?.read_exact(&mut beginning).ok()?;
    (beginning != *b"#!").then(|| program.file_name().map(OsStr::to_owned))?
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
    use std::{
        os::unix::process::CommandExt as _,
        process::{Child, Command, Stdio},
    };

    use vpnmanager_testbed::wait;

    use super::*;
    use crate::openvpn::process::ServerFiles;

    fn launch(dir: &Path) -> Launch {
        Launch {
            binary: "sh".into(),
            files: ServerFiles::of(dir, None),
            conf: String::new(),
            uid: 0,
            run_dir: dir.to_owned(),
        }
    }

    /// A process that waits, with `--config <file>` among its arguments.
    fn impostor(conf_file: &Path) -> Command {
        impostor_of(Path::new("sh"), conf_file)
    }

    /// The same by another shell, which must be called `sh` in its arguments.
    fn impostor_of(shell: &Path, conf_file: &Path) -> Command {
        let mut command = Command::new(shell);
        command.arg0("sh");
        command.args(["-c", "read line", "sh", "--config"]).arg(conf_file);
        command.stdin(Stdio::piped());
        command
    }

    /// One that writes our log too, as our OpenVPN does.
    fn standing_in(launch: &Launch) -> Child {
        standing_in_of(Path::new("sh"), launch)
    }

    fn standing_in_of(shell: &Path, launch: &Launch) -> Child {
        let log = File::create(&launch.files.log).expect("a log");
        let mut command = impostor_of(shell, &launch.files.conf);
        command.stdout(log).spawn().expect("sh")
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
        fs::write(&launch.files.pid, other.id().to_string()).expect("write");
        assert!(Found::look_for(&launch).expect("look").is_none());
        end(other);
    }

    #[tokio::test]
    async fn a_process_that_only_has_our_arguments_is_not_taken_for_ours() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let launch = launch(dir.path());
        let impostor = impostor(&launch.files.conf).spawn().expect("sh");
        let has_started = async || has_argument(impostor.id(), &launch.files.conf);
        wait::until(Duration::from_secs(5), "the impostor", has_started)
            .await
            .expect("started");
        fs::write(&launch.files.pid, impostor.id().to_string()).expect("write");

        assert!(Found::look_for(&launch).expect("look").is_none());

        end(impostor);
    }

    /// A shell of the name `openvpn`.
    fn shell_called_openvpn(dir: &Path) -> PathBuf {
        let shell = dir.join("openvpn");
        fs::copy("/bin/sh", &shell).expect("a copy");
        shell
    }

    async fn finds(launch: &Launch, child: &Child) -> bool {
        let has_started = async || has_argument(child.id(), &launch.files.conf);
        wait::until(Duration::from_secs(5), "the process to start", has_started)
            .await
            .expect("started");
        let found = Found::look_for(launch).expect("look");
        found.is_some_and(|found| found.pid() == child.id())
    }

    #[tokio::test]
    async fn a_program_that_was_replaced_is_still_ours_and_another_one_is_not() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut launch = launch(dir.path());
        launch.binary = shell_called_openvpn(dir.path());
        let other = standing_in(&launch);
        assert!(!finds(&launch, &other).await, "it runs another program");
        end(other);

        let child = standing_in_of(&launch.binary, &launch);
        let has_log = async || holds_file_in(child.id(), dir.path());
        wait::until(Duration::from_secs(5), "the log", has_log)
            .await
            .expect("open");
        // As an upgrade does it, before any agent has noted which process it is.
        let next = dir.path().join("next");
        fs::copy("/bin/sh", &next).expect("a copy");
        fs::rename(&next, &launch.binary).expect("replace");
        let exe = fs::read_link(format!("/proc/{}/exe", child.id())).expect("a program");
        assert!(
            exe.to_string_lossy().ends_with("/openvpn (deleted)"),
            "{}",
            exe.display()
        );
        assert!(finds(&launch, &child).await);

        // It is noted now: neither another name nor none changes anything.
        launch.binary = dir.path().join("missing");
        assert!(finds(&launch, &child).await);
        launch.binary = "false".into();
        assert!(finds(&launch, &child).await);
        end(child);
    }

    #[tokio::test]
    async fn a_process_that_started_at_another_time_than_noted_is_not_ours() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let launch = launch(dir.path());
        let child = standing_in(&launch);
        let noted = Record::of(child.id()).expect("it runs");
        let earlier = Record {
            started: noted.started - 1,
            ..noted.clone()
        };
        earlier.write(&launch);
        assert!(!finds(&launch, &child).await);
        noted.write(&launch);
        assert!(finds(&launch, &child).await);
        end(child);
    }

    #[test]
    fn only_our_account_and_those_it_was_told_are_openvpns() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let launch = Launch {
            uid: 4242,
            ..launch(dir.path())
        };
        let own = rustix::process::geteuid().as_raw();
        assert!(may_run_as(own, &launch) && may_run_as(4242, &launch));
        let nobody = number_of(Database::Users, "nobody").expect("nobody");
        assert!(!may_run_as(nobody, &launch));
        fs::write(&launch.files.conf, "port 1194\nuser nobody\n").expect("write");
        assert!(may_run_as(nobody, &launch), "it was started with another OPENVPN_USER");
        assert_eq!(effective_uid(std::process::id()), Some(own));
    }
}
