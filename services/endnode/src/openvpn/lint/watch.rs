//! The operator's file as it is at the moment.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tracing::{info, warn};

use super::{checks::lint, expected::Expected, finding::Finding, running::Running};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// A configuration that is checked again as it changes, with the files that it names. Clones share what was found.
#[derive(Debug, Clone)]
pub struct LintedConf {
    file: PathBuf,
    expected: Arc<Expected>,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The OpenVPN that was seen last.
    running: Running,
    /// When the file was read last; `None` when it must be read again.
    looked: Option<Instant>,
    /// What was found then.
    findings: Vec<Finding>,
}

impl LintedConf {
    /// The file, and what it is compared with.
    pub fn new(file: PathBuf, expected: Expected) -> Self {
        Self {
            file,
            expected: Arc::new(expected),
            memory: Arc::default(),
        }
    }

    /// Takes note of the OpenVPN that runs. After another one the file is checked again at once. While none runs the last one counts:
    /// the next is likely to be the same.
    pub fn note(&self, running: Running) {
        let mut memory = self.memory();
        if memory.running != running {
            memory.running = running;
            memory.looked = None;
        }
    }

    /// What should change, as of two seconds ago at most. Logs what is found anew.
    pub fn findings(&self) -> Vec<Finding> {
        let mut memory = self.memory();
        if memory.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return memory.findings.clone();
        }
        let findings = lint(&self.file, &self.expected, &memory.running);
        let known = &memory.findings;
        for finding in findings.iter().filter(|finding| !known.contains(finding)) {
            warn!(finding = %finding, "The OpenVPN configuration needs a change");
        }
        if findings.is_empty() && !known.is_empty() {
            info!("The OpenVPN configuration is as it should be");
        }
        memory.looked = Some(Instant::now());
        memory.findings.clone_from(&findings);
        findings
    }

    /// Whether the file was changed after this moment, which is known to the second. What it includes is not looked at.
    pub fn changed_since(&self, moment: SystemTime) -> bool {
        let changed = fs::metadata(&self.file).and_then(|file| file.modified());
        changed.is_ok_and(|changed| changed > moment + Duration::from_secs(1))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
