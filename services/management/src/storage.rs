//! Whether the bus stores commands. What ends access reaches the nodes directly too, everything else waits for it.

use std::sync::{Arc, Mutex, PoisonError};

/// Why the bus stores nothing, if so. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    fault: Arc<Mutex<Option<String>>>,
}

impl Storage {
    /// Notes what is wrong, for people, or that nothing is. Returns what was wrong before.
    pub fn note(&self, fault: Option<String>) -> Option<String> {
        let mut noted = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut noted, fault)
    }

    /// Why nothing can be stored; `None` while it works, and before the first try.
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What to do about a bus that stores nothing. Measured with nats-server 2.15: after a write error it stores nothing until it is restarted,
/// also when there is room again, and it answers no publication.
///
/// Another thing is the server's own limit ([`LIMIT_REACHED`]): more room on the disk changes nothing.
pub fn bus_stores_nothing(fault: &str) -> String {
    let advice = if fault == LIMIT_REACHED {
        vpnmanager_nats::store_limit::RAISE
    } else {
        "make room on the disk of nats-server and restart it"
    };
    format!(
        "the bus stores no commands ({fault}): what ends access still reaches the nodes directly, everything else waits; {advice}"
    )
}

/// The fault of a bus that has stored or reserved what it may.
pub const LIMIT_REACHED: &str = "it has used all the room that its max_file allows";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_from_a_full_disk() {
        assert!(bus_stores_nothing(LIMIT_REACHED).contains("--max-store"));
        assert!(bus_stores_nothing("no space left on device").contains("make room on the disk"));
    }
}
