//! A small shell process that waits until this process ends, for whatever reason, and then runs the clean-up lines that were added.
//!
//! It holds the reading end of a pipe whose writing end only this process has. So a killed test, a panic and a normal drop all have the
//! same effect.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{environment, process::Identity};

const WAIT: &str = "trap '' INT TERM HUP\ncat >/dev/null\n";

const CLEAN_UP: &str = r#"
stop() {
    [ "$(cut -d' ' -f22 "/proc/$1/stat" 2>/dev/null)" = "$2" ] || return 0
    kill -"$3" "$1"
    for _ in $(seq 100); do
        case "$(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null)" in ''|Z|X) return 0 ;; esac
        sleep 0.05
    done
    kill -9 "$1"
}
cd /
eval "$(tac "$1")"
for environ in $(grep -lzxF "VPNMANAGER_TESTBED_DIR=$2" /proc/[0-9]*/environ 2>/dev/null); do
    pid=${environ#/proc/}
    kill -9 "${pid%/environ}"
done
if [ -e "$2/keep" ]; then rm -f "$2/keep" "$2/keepers"; exit 0; fi
for _ in 1 2 3 4 5; do rm -rf "$2" && break; sleep 0.2; done
"#;

/// If this variable is 1, the folder of a failed test stays for inspection. Processes and namespaces are ended anyway.
const KEEP: &str = "VPNMANAGER_KEEP";

/// A file that is in the folder until everything has succeeded.
const MARK: &str = "keep";

/// The file that names the process that owns a folder and the shell that waits for its end.
const KEEPERS: &str = "keepers";

/// Removes folders in `base` whose owner and guard have both ended, for example because the whole container was killed.
pub(super) fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let dir = entry.path();
        if entry.file_name().to_string_lossy().starts_with("vpnmanager-") && is_abandoned(&dir) {
            // A folder that this user may not remove belongs to another user, who will remove it.
            let _ = Command::new("sh")
                .args(["-c", CLEAN_UP, "vpnmanager-testbed-sweep"])
                .args([dir.join("cleanup"), dir])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn is_abandoned(dir: &Path) -> bool {
    // A folder without this file is being made, or is kept on purpose.
    let Ok(text) = fs::read(dir.join(KEEPERS)) else {
        return false;
    };
    let keepers: Vec<Option<Identity>> = serde_json::from_slice(&text).unwrap_or_default();
    !keepers.is_empty() && !keepers.iter().flatten().any(Identity::alive)
}

/// What happens to a folder whose owner failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFailure {
    Remove,
    Keep,
}

impl AfterFailure {
    /// What the operator asked for.
    pub(super) fn wanted() -> Self {
        match environment::variable(KEEP) {
            Some(value) if value == "1" => Self::Keep,
            Some(_) | None => Self::Remove,
        }
    }
}

/// The waiting shell. Dropping it runs the clean-up and waits for its end.
#[derive(Debug)]
pub(super) struct Guard {
    dir: PathBuf,
    shell: Child,
    after_failure: AfterFailure,
    has_failed: AtomicBool,
}

impl Guard {
    pub(super) fn watch(dir: &Path, after_failure: AfterFailure) -> io::Result<Self> {
        let lines = dir.join("cleanup");
        fs::write(&lines, "")?;
        if after_failure == AfterFailure::Keep {
            fs::write(dir.join(MARK), "")?;
        }
        let shell = Command::new("sh")
            .args(["-c", &format!("{WAIT}{CLEAN_UP}"), "vpnmanager-testbed-guard"])
            .args([&lines, dir])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let keepers = [std::process::id(), shell.id()].map(|pid| Identity::of(pid.cast_signed()).ok());
        fs::write(dir.join(KEEPERS), serde_json::to_string(&keepers)?)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            shell,
            after_failure,
            has_failed: AtomicBool::new(false),
        })
    }

    /// Adds one line of shell, run before the lines added earlier.
    pub(super) fn add(&self, line: &str) -> io::Result<()> {
        let lines = self.dir.join("cleanup");
        writeln!(OpenOptions::new().append(true).open(lines)?, "{line}")
    }

    /// Stops a process.
    pub(super) fn stop(&self, process: Identity, signal: &str) -> io::Result<()> {
        self.add(&format!("stop {} {} {signal}", process.pid, process.started))
    }

    /// Notes a failure that is no panic.
    pub(super) fn note_failure(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let is_kept = self.after_failure == AfterFailure::Keep
            && (std::thread::panicking() || self.has_failed.load(Ordering::Relaxed));
        if !is_kept {
            // Usually it is not there.
            let _ = fs::remove_file(self.dir.join(MARK));
        }
        drop(self.shell.stdin.take());
        // Nothing more can be done if the clean-up fails; the folder's name tells what it is.
        let _ = self.shell.wait();
        if is_kept {
            eprintln!("kept for inspection: {}", self.dir.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        let dir = std::env::temp_dir().join(format!("vpnmanager-{}", crate::scratch::fresh_id()));
        fs::create_dir(&dir).unwrap();
        dir
    }

    #[test]
    fn a_failure_leaves_the_folder_where_that_is_wanted() {
        let dir = folder();
        let guard = Guard::watch(&dir, AfterFailure::Keep).unwrap();
        fs::write(dir.join("evidence"), "").unwrap();
        guard.note_failure();

        drop(guard);

        assert!(dir.join("evidence").exists());
        sweep(dir.parent().unwrap());
        assert!(dir.exists());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_went_well_or_is_not_wanted_is_removed() {
        let (well, unwanted) = (folder(), folder());
        drop(Guard::watch(&well, AfterFailure::Keep).unwrap());
        let guard = Guard::watch(&unwanted, AfterFailure::Remove).unwrap();
        guard.note_failure();

        drop(guard);

        assert!(!well.exists() && !unwanted.exists());
    }
}
