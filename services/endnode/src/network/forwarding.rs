//! That the machine forwards packets, which Linux does not by itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::openvpn::tunnel::Tunnel;

const IPV4: &str = "net/ipv4/ip_forward";
const IPV6: &str = "net/ipv6/conf/all/forwarding";
const INTERFACES: &str = "net/ipv6/conf";
/// Router advertisements are taken unless the machine forwards.
const UNLESS_IT_FORWARDS: &str = "1";
/// They are taken in any case (ip-sysctl of the kernel's documentation).
const IN_ANY_CASE: &str = "2";

/// The kernel's switches.
#[derive(Debug, Clone)]
pub(super) struct Forwarding {
    /// `/proc/sys`.
    root: PathBuf,
}

/// A switch could not be read or set.
#[derive(Debug, thiserror::Error)]
#[error(
    "the machine does not forward, and {} cannot be set to {value}: set `{name}={value}` on the machine, and for a container where it is \
     started (`--sysctl {name}={value}`)",
    path.display()
)]
pub(super) struct ForwardingError {
    path: PathBuf,
    name: String,
    value: &'static str,
    #[source]
    source: io::Error,
}

impl Forwarding {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Switches it on where it is off, and never off: others may need it. True when it was off. What is on is not written, because in a
    /// container `/proc/sys` may be read-only.
    pub(super) fn ensure_ipv4(&self) -> Result<bool, ForwardingError> {
        self.switch(IPV4, "1")
    }

    /// The same of IPv6, which one of the tunnels has.
    pub(super) fn ensure_ipv6(&self, tunnels: &[Tunnel]) -> Result<bool, ForwardingError> {
        if self.is(IPV6, "1") {
            return Ok(false);
        }
        self.keep_advertisements(tunnels)?;
        self.switch(IPV6, "1")
    }

    /// A machine that forwards IPv6 takes no router advertisements any more, and would lose its default route. Not on the tunnel devices:
    /// clients are no routers.
    fn keep_advertisements(&self, tunnels: &[Tunnel]) -> Result<(), ForwardingError> {
        // Without IPv6 in the kernel there are no interfaces of it, and the switch itself fails.
        let interfaces = fs::read_dir(self.root.join(INTERFACES)).into_iter().flatten().flatten();
        for interface in interfaces {
            let name = interface.file_name();
            let devices = tunnels.iter().map(|tunnel| tunnel.device.as_str());
            let mut left_alone = ["all", "default", "lo"].into_iter().chain(devices);
            if left_alone.any(|other| name == other) {
                continue;
            }
            let switch = Path::new(INTERFACES).join(name).join("accept_ra");
            if self.is(&switch, UNLESS_IT_FORWARDS) {
                self.switch(&switch, IN_ANY_CASE)?;
            }
        }
        Ok(())
    }

    fn is(&self, switch: impl AsRef<Path>, value: &str) -> bool {
        fs::read_to_string(self.root.join(switch)).is_ok_and(|found| found.trim() == value)
    }

    /// True when it had another value.
    fn switch(&self, switch: impl AsRef<Path>, value: &'static str) -> Result<bool, ForwardingError> {
        let switch = switch.as_ref();
        if self.is(switch, value) {
            return Ok(false);
        }
        let path = self.root.join(switch);
        fs::write(&path, value).map_err(|source| ForwardingError {
            path,
            name: switch.display().to_string().replace('/', "."),
            value,
            source,
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use vpnmanager_runtime::error_chain::chain;

    use super::*;
    use crate::network::fixtures::{HALVES6, two_tunnels};

    /// As the kernel shows it at its start.
    fn kernel(interfaces: &[(&str, &str)]) -> (tempfile::TempDir, Forwarding) {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |switch: &str, value: &str| {
            let path = dir.path().join(switch);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, format!("{value}\n")).expect("written");
        };
        write(IPV4, "0");
        write(IPV6, "0");
        for (interface, accept_ra) in interfaces {
            write(&format!("{INTERFACES}/{interface}/accept_ra"), accept_ra);
        }
        let forwarding = Forwarding::new(dir.path().to_owned());
        (dir, forwarding)
    }

    #[test]
    fn each_family_is_switched_on_by_itself_and_once() {
        let (_dir, forwarding) = kernel(&[("eth0", "1")]);
        assert!(forwarding.ensure_ipv4().expect("set"));
        assert!(!forwarding.ensure_ipv4().expect("set"));
        assert!(forwarding.is(IPV4, "1") && forwarding.is(IPV6, "0"));
        assert!(forwarding.is("net/ipv6/conf/eth0/accept_ra", "1"));
    }

    #[test]
    fn whoever_takes_router_advertisements_goes_on_taking_them() {
        let (_dir, forwarding) = kernel(&[
            ("all", "1"),
            ("default", "1"),
            ("lo", "1"),
            ("eth0", "1"),
            ("eth0.5", "1"),
            ("eth1", "0"),
            ("vpn-udp1194", "1"),
            ("vpn-tcp443", "1"),
        ]);
        let with_ipv6 = two_tunnels(Some(HALVES6));
        assert!(forwarding.ensure_ipv6(&with_ipv6).expect("set"));
        assert!(forwarding.is(IPV4, "0") && forwarding.is(IPV6, "1"));
        for (interface, expected) in [
            ("all", "1"),
            ("default", "1"),
            ("lo", "1"),
            ("eth0", "2"),
            ("eth0.5", "2"),
            ("eth1", "0"),
            ("vpn-udp1194", "1"),
            ("vpn-tcp443", "1"),
        ] {
            let switch = format!("{INTERFACES}/{interface}/accept_ra");
            assert!(forwarding.is(&switch, expected), "{interface}");
        }
        assert!(!forwarding.ensure_ipv6(&with_ipv6).expect("set"));
    }

    #[test]
    fn what_cannot_be_switched_on_is_said_with_its_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = Forwarding::new(dir.path().to_owned())
            .ensure_ipv4()
            .expect_err("no such switch");
        let said = chain(&error).to_string();
        assert!(said.contains("`--sysctl net.ipv4.ip_forward=1`"), "{said}");
        assert!(said.ends_with("No such file or directory (os error 2)"), "{said}");
    }
}
