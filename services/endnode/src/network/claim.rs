//! The right to keep the firewall of a network namespace. There is one table: agents that share a machine would put back each other's
//! rules for ever.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// Held by one agent in each network namespace, until it is dropped or its process ends.
#[derive(Debug)]
pub(super) struct Claim {
    _file: File,
}

/// The right could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    #[error(
        "another agent on this machine keeps the firewall for its own pool: give each agent a network namespace or a machine of its own"
    )]
    Taken,
    #[error("locking {} failed", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Claim {
    /// Takes it. The file in `run_dir` stays behind and means nothing without its lock.
    pub(super) fn take(run_dir: &Path) -> Result<Self, ClaimError> {
        let namespace = fs::metadata("/proc/thread-self/ns/net").map_or(0, |namespace| namespace.ino());
        let path = run_dir.join(format!("network-{namespace}.lock"));
        let made = DirBuilder::new().recursive(true).mode(0o750).create(run_dir);
        let opened = made.and_then(|()| OpenOptions::new().create(true).append(true).mode(0o600).open(&path));
        let locked = opened.and_then(|file| match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        });
        match locked {
            Ok(Some(file)) => Ok(Self { _file: file }),
            Ok(None) => Err(ClaimError::Taken),
            Err(source) => Err(ClaimError::Lock { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let run_dir = dir.path().join("run");
        let first = Claim::take(&run_dir).expect("the first");
        assert!(matches!(Claim::take(&run_dir), Err(ClaimError::Taken)));
        drop(first);
        Claim::take(&run_dir).expect("the next");
    }
}
