//! Another time for one process, by the distribution's libfaketime.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vpnmanager_testbed::process::Identity;

/// The library, where it is installed.
pub(super) fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut candidates = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    candidates.find(|library| library.is_file())
}

/// What a process needs in its environment to live so many seconds ahead. Durations stay as they are.
pub(super) fn environment(library: &Path, seconds: i32) -> [(&'static str, String); 4] {
    [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME", format!("{seconds:+}s")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// Whether a process lives in another time.
pub(super) fn is_shifted(process: Identity) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable.starts_with(b"FAKETIME="))
}
