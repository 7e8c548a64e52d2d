//! SIGSTOP and SIGCONT of a part with its children.

use std::fs;

use rustix::process::Signal;
use vpnmanager_testbed::process::Identity;

/// Processes that are stopped by SIGSTOP.
#[derive(Debug)]
pub(super) struct Paused(Vec<Identity>);

impl Paused {
    pub(super) fn pause(process: Identity) -> Self {
        process.signal(Signal::STOP);
        let mut all = vec![process];
        all.extend(children(process.pid));
        all.iter().for_each(|process| process.signal(Signal::STOP));
        Self(all)
    }

    pub(super) fn go_on(&self) {
        self.0.iter().for_each(|process| process.signal(Signal::CONT));
    }
}

fn children(parent: i32) -> Vec<Identity> {
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let field = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        field.and_then(|field| field.parse().ok()) == Some(parent)
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_child)
        .filter_map(|pid| Identity::of(pid).ok())
        .collect()
}
