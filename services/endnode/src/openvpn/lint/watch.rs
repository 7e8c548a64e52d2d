//! The operator's file as it is at the moment.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::Instant};
use tracing::{info, warn};
use vpnmanager_nats::network::PoolNetwork;

use super::{
    checks::{Checked, lint},
    expected::Expected,
    finding::Finding,
    running::Running,
};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// A configuration that is checked again as it changes, with the files that it names. Clones share what was found.
#[derive(Debug, Clone)]
pub struct LintedConf {
    file: PathBuf,
    /// What management told of the network of the pool.
    told: watch::Receiver<Option<PoolNetwork>>,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug)]
struct Memory {
    /// What the file is compared with. The network in it is the one that was told when the file was read last.
    expected: Expected,
    /// The OpenVPN that was seen last.
    running: Running,
    /// When the file was read last; `None` when it must be read again.
    looked: Option<Instant>,
    /// What it told then.
    checked: Checked,
}

impl LintedConf {
    /// The file, and what it is compared with. The network of the pool is the one that management told last.
    pub fn new(file: PathBuf, expected: Expected, told: watch::Receiver<Option<PoolNetwork>>) -> Self {
        let memory = Memory {
            expected,
            running: Running::default(),
            looked: None,
            checked: Checked::default(),
        };
        Self {
            file,
            told,
            memory: Arc::new(Mutex::new(memory)),
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

    /// What should change, as of two seconds ago at most, and by the network of the pool that was told last. Logs what is found anew.
    pub fn findings(&self) -> Vec<Finding> {
        self.up_to_date().checked.findings.clone()
    }

    /// Places for clients, which handshakes that are not finished take too, as of two seconds ago at most; `None` where OpenVPN may run with other
    /// files.
    pub fn places(&self) -> Option<u32> {
        self.up_to_date().checked.places
    }

    /// Whether the file was changed after this moment, which is known to the second. What it includes is not looked at.
    pub fn changed_since(&self, moment: SystemTime) -> bool {
        let changed = fs::metadata(&self.file).and_then(|file| file.modified());
        changed.is_ok_and(|changed| changed > moment + Duration::from_secs(1))
    }

    /// Checks the files again where the last check is old, or of something else.
    fn up_to_date(&self) -> MutexGuard<'_, Memory> {
        let network = self.told.borrow().as_ref().and_then(|told| told.network.clone());
        let mut memory = self.memory();
        if memory.expected.network != network {
            memory.expected.network = network;
            memory.looked = None;
        }
        if memory.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return memory;
        }
        let checked = lint(&self.file, &memory.expected, &memory.running);
        let (found, known) = (&checked.findings, &memory.checked.findings);
        for finding in found.iter().filter(|finding| !known.contains(finding)) {
            warn!(finding = %finding, "The OpenVPN configuration needs a change");
        }
        if found.is_empty() && !known.is_empty() {
            info!("The OpenVPN configuration is as it should be");
        }
        memory.looked = Some(Instant::now());
        memory.checked = checked;
        memory
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
