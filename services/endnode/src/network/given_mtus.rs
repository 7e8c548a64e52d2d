//! Which tunnel devices got another MTU from the agent than OpenVPN gave them: the file `mtu` of the state folder, which outlives the agent.
//!
//! So a device gets back what OpenVPN gave it once no pool says an MTU, also from the next run of the agent, and one that somebody else
//! changed is left alone.

use std::{collections::BTreeMap, fs, path::PathBuf};

use tracing::debug;
use vpnmanager_runtime::{
    error_chain::chain,
    secret_file::{self, SecretFileError},
};

use crate::interface::InterfaceName;

/// The devices, and the file.
#[derive(Debug)]
pub(super) struct GivenMtus {
    file: PathBuf,
    /// By its name the process whose device it is: that of the next process is another one.
    given: BTreeMap<String, u32>,
}

impl GivenMtus {
    /// As the last run of the agent noted them. Where nothing can be read, none.
    pub(super) fn read(file: PathBuf) -> Self {
        let given = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            file,
            given: given.unwrap_or_default(),
        }
    }

    /// Whether the device of this process got one.
    pub(super) fn has(&self, device: &InterfaceName, pid: u32) -> bool {
        self.given.get(device.as_str()) == Some(&pid)
    }

    /// Notes that the devices of these processes get one. Where all are noted nothing is written.
    pub(super) fn note<'device>(
        &mut self,
        devices: impl IntoIterator<Item = (&'device InterfaceName, u32)>,
    ) -> Result<(), SecretFileError> {
        let mut given = self.given.clone();
        given.extend(
            devices
                .into_iter()
                .map(|(device, pid)| (device.as_str().to_owned(), pid)),
        );
        self.set(given)
    }

    /// This one has that of OpenVPN. Where that cannot be noted it gets it once more.
    pub(super) fn forget(&mut self, device: &InterfaceName) {
        let mut given = self.given.clone();
        given.remove(device.as_str());
        if let Err(error) = self.set(given) {
            debug!(error = %chain(&error), device = %device, "Could not note that a tunnel device has the MTU of OpenVPN");
        }
    }

    fn set(&mut self, given: BTreeMap<String, u32>) -> Result<(), SecretFileError> {
        if self.given == given {
            return Ok(());
        }
        // The devices do not outlive the machine, so nothing is synced to disk.
        secret_file::write_unsynced(&self.file, serde_json::to_string(&given).unwrap_or_default())?;
        self.given = given;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_knows_the_devices_of_the_same_processes() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("mtu");
        let [udp, tcp] = ["vpn-udp1194", "vpn-tcp443"].map(|name| name.parse::<InterfaceName>().expect("a name"));
        let mut given = GivenMtus::read(file.clone());
        given.forget(&udp);
        given.note([]).expect("nothing to note");
        assert!(!file.exists());

        given.note([(&udp, 7), (&tcp, 8)]).expect("noted");
        let next = GivenMtus::read(file.clone());
        assert!(next.has(&udp, 7) && next.has(&tcp, 8));
        assert!(!next.has(&udp, 9), "another process made another device");

        given.note([(&udp, 9)]).expect("noted");
        given.forget(&tcp);
        let next = GivenMtus::read(file.clone());
        assert!(next.has(&udp, 9) && !next.has(&tcp, 8));

        fs::write(&file, "?").expect("written");
        assert!(!GivenMtus::read(file).has(&udp, 9));
    }
}
