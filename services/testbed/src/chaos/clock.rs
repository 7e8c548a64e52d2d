//! Shifts the clock of one process with the distribution's libfaketime.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vpnmanager_testbed::process::Identity;

/// The library; `None` if it is not installed.
pub(super) fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut candidates = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    candidates.find(|library| library.is_file())
}

/// The environment variables that shift a process's clock by so many seconds. Durations stay the same.
pub(super) fn environment(library: &Path, seconds: i32) -> [(&'static str, String); 4] {
    [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME", format!("{seconds:+}s")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// Whether a process has a shifted clock.
pub(super) fn is_shifted(process: Identity) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable.starts_with(b"FAKETIME="))
}
