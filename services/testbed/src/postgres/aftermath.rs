//! Cleans up after a killed cluster: its children may still be ending, and its lock file may name a zombie.

use std::{fs, path::Path, time::Duration};

use crate::{process::Identity, wait};

const ENDING: Duration = Duration::from_secs(10);

/// Waits until the children of the killed cluster have ended, and kills those that do not end.
pub(super) async fn wait_for_children(data: &Path) {
    let gone = wait::until(ENDING, "PostgreSQL's children to end", async || {
        children(data).is_empty()
    });
    if gone.await.is_err() {
        for child in children(data) {
            child.kill().await;
        }
    }
}

/// Removes the lock file of a cluster whose main process has ended. PostgreSQL treats a zombie as a running process, and in a container
/// whose first process does not reap its children a zombie stays for ever.
pub(super) async fn remove_stale_lock(data: &Path) {
    let lock = data.join("postmaster.pid");
    let first_line = || fs::read_to_string(&lock).ok()?.lines().next()?.trim().parse().ok();
    if let Some(pid) = first_line()
        && Identity::of(pid).is_err()
    {
        wait_for_children(data).await;
        // If this fails, the start fails too and reports the reason.
        let _ = fs::remove_file(&lock);
    }
}

/// The processes of a cluster: their working directory is its data folder.
fn children(data: &Path) -> Vec<Identity> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data))
        .filter_map(|pid| Identity::of(pid).ok())
        .filter(|process| {
            fs::read_to_string(format!("/proc/{}/comm", process.pid)).is_ok_and(|comm| comm.trim() == "postgres")
        })
        .collect()
}
