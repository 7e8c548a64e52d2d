//! Finds the processes of a stack by its folder. A process whose start was interrupted is in no list, but is found here.

use std::{fs, path::Path};

use super::Identity;

/// The environment variable that names, in each process of a stack, the folder of the stack.
pub(super) const MARK: &str = "VPNMANAGER_TESTBED_DIR";

/// The folder of the stack that a process with this working directory belongs to.
pub(super) fn folder_of(dir: &Path) -> Option<&Path> {
    let named = |dir: &&Path| {
        dir.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("vpnmanager-"))
    };
    dir.ancestors().filter(named).last()
}

/// The running processes that belong to `folder`.
pub(crate) fn belonging_to(folder: &Path) -> Vec<Identity> {
    let mark = format!("{MARK}={}", folder.display());
    let marked = |environ: Vec<u8>| {
        environ
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes())
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| fs::read(format!("/proc/{pid}/environ")).is_ok_and(marked))
        .filter_map(|pid| Identity::of(pid).ok())
        .collect()
}
