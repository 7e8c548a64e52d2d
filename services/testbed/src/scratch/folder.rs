//! The folder for everything that a stack or the private server of a test writes.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::guard::{self, AfterFailure, Guard};
use crate::process::Identity;

/// Where the folder lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// In memory if there is room: for tests, whose data is not needed later.
    Memory,
    /// On disk: for stacks that are measured or kept.
    Disk,
}

/// The folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare the folder {dir}")]
pub struct ScratchError {
    dir: String,
    #[source]
    source: io::Error,
}

/// A folder of the testbed. A guarded folder is removed, with every process and namespace that is registered, when it is
/// dropped or this process dies.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    guard: Option<Guard>,
}

/// How many bytes of memory must be free: for a cluster with its write-ahead log, a stream store and a few journals.
const ROOM: u64 = 1 << 30;

impl Scratch {
    /// A new guarded folder with a random name.
    pub fn guarded(medium: Medium) -> Result<Self, ScratchError> {
        Self::guarded_named(medium, &fresh_id())
    }

    /// A new guarded folder `vpnmanager-<id>`.
    ///
    /// # Errors
    /// [`ScratchError`], also when it exists.
    pub fn guarded_named(medium: Medium, id: &str) -> Result<Self, ScratchError> {
        let base = base(medium);
        guard::sweep(&base);
        let dir = base.join(format!("vpnmanager-{id}"));
        let prepare = || {
            make(&dir)?;
            Guard::watch(&dir, AfterFailure::wanted())
        };
        match prepare() {
            Ok(guard) => Ok(Self {
                dir,
                guard: Some(guard),
            }),
            Err(source) => Err(ScratchError {
                dir: dir.display().to_string(),
                source,
            }),
        }
    }

    /// A folder `vpnmanager-<id>` on disk that stays until it is removed.
    ///
    /// # Errors
    /// [`ScratchError`], also when it exists.
    pub fn kept(id: &str) -> Result<Self, ScratchError> {
        let dir = base(Medium::Disk).join(format!("vpnmanager-{id}"));
        make(&dir).map_err(|source| ScratchError {
            dir: dir.display().to_string(),
            source,
        })?;
        Ok(Self { dir, guard: None })
    }

    /// Removes what an earlier [`Scratch::kept`] of this id has left.
    pub fn remove_kept(id: &str) {
        // Usually there is nothing.
        let _ = fs::remove_dir_all(base(Medium::Disk).join(format!("vpnmanager-{id}")));
    }

    /// The folder that an earlier command made with [`Scratch::kept`].
    #[must_use]
    pub fn existing(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            guard: None,
        }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A folder inside it, made if missing.
    pub fn sub(&self, name: &str, mode: u32) -> Result<PathBuf, ScratchError> {
        let dir = self.dir.join(name);
        let made = fs::create_dir_all(&dir).and_then(|()| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)));
        made.map_err(|source| ScratchError {
            dir: dir.display().to_string(),
            source,
        })?;
        Ok(dir)
    }

    /// Registers a process that is stopped with `signal` at the end, if this folder is guarded.
    pub fn stop_at_end(&self, process: Identity, signal: &str) {
        if let Some(guard) = &self.guard {
            // The folder was writable a moment ago. Without the line the process would only survive a crash of this one.
            let _ = guard.stop(process, signal);
        }
    }

    /// Registers a line of shell that runs at the end, if this folder is guarded.
    pub fn run_at_end(&self, line: &str) {
        if let Some(guard) = &self.guard {
            let _ = guard.add(line);
        }
    }

    /// Records a failure: with `VPNMANAGER_KEEP=1` the folder then stays. A panic is recorded automatically.
    pub fn note_failure(&self) {
        if let Some(guard) = &self.guard {
            guard.note_failure();
        }
    }

    /// Removes the folder now.
    pub fn remove(self) {
        // The guard removes a guarded folder; remains of a kept folder are harmless, and their name tells what they are.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A short random name: it becomes part of socket paths and namespace names.
pub(crate) fn fresh_id() -> String {
    std::iter::repeat_with(|| {
        char::from(
            fastrand::choice(b"abcdefghijkmnpqrstuvwxyz23456789")
                .copied()
                .unwrap_or(b'x'),
        )
    })
    .take(6)
    .collect()
}

fn base(medium: Medium) -> PathBuf {
    let memory = Path::new("/dev/shm");
    match medium {
        Medium::Memory if has_room(memory) => memory.to_path_buf(),
        Medium::Memory | Medium::Disk => PathBuf::from("/var/tmp"),
    }
}

fn has_room(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|fs| fs.f_bavail * fs.f_frsize >= ROOM)
}

/// Makes the folder so that other users may pass through it: PostgreSQL and OpenVPN run as other users below it.
fn make(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
}
