//! That the machine forwards packets, which Linux does not by itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    openvpn::tunnel::Tunnel,
    sysctls::{FORWARDS_IPV4, FORWARDS_IPV6, Sysctls, advertisements_of, name_of},
};

/// Router advertisements are taken in any case.
const IN_ANY_CASE: &str = "2";

/// The machine, as far as it forwards.
#[derive(Debug, Clone)]
pub(super) struct Forwarding {
    sysctls: Sysctls,
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
    /// By these switches (`/proc/sys`).
    pub(super) fn new(sysctls: PathBuf) -> Self {
        Self {
            sysctls: Sysctls::new(sysctls),
        }
    }

    /// Switches it on where it is off, and never off: others may need it. True when it was off. What is on is not written, because in a
    /// container `/proc/sys` may be read-only.
    pub(super) fn ensure_ipv4(&self) -> Result<bool, ForwardingError> {
        self.switch(FORWARDS_IPV4, "1")
    }

    /// The same of IPv6, which one of the tunnels has.
    pub(super) fn ensure_ipv6(&self, tunnels: &[Tunnel]) -> Result<bool, ForwardingError> {
        if self.sysctls.is(FORWARDS_IPV6, "1") {
            return Ok(false);
        }
        self.keep_advertisements(tunnels)?;
        self.switch(FORWARDS_IPV6, "1")
    }

    /// A machine that forwards IPv6 takes no router advertisements any more, and would lose its default route. Not on the tunnel devices:
    /// clients are no routers.
    fn keep_advertisements(&self, tunnels: &[Tunnel]) -> Result<(), ForwardingError> {
        // Without IPv6 in the kernel there are none, and the switch itself fails.
        for interface in self.sysctls.advertised() {
            let is_tunnel = tunnels.iter().any(|tunnel| interface == tunnel.device.as_str());
            if !is_tunnel {
                self.switch(advertisements_of(&interface), IN_ANY_CASE)?;
            }
        }
        Ok(())
    }

    /// True when it had another value.
    fn switch(&self, switch: impl AsRef<Path>, value: &'static str) -> Result<bool, ForwardingError> {
        let switch = switch.as_ref();
        if self.sysctls.is(switch, value) {
            return Ok(false);
        }
        let path = self.sysctls.file_of(switch);
        fs::write(&path, value).map_err(|source| ForwardingError {
            path,
            name: name_of(switch),
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
        let write = |switch: PathBuf, value: &str| {
            let path = dir.path().join(switch);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, format!("{value}\n")).expect("written");
        };
        write(FORWARDS_IPV4.into(), "0");
        write(FORWARDS_IPV6.into(), "0");
        for (interface, accept_ra) in interfaces {
            write(advertisements_of(interface), accept_ra);
        }
        let forwarding = Forwarding::new(dir.path().to_owned());
        (dir, forwarding)
    }

    #[test]
    fn each_family_is_switched_on_by_itself_and_once() {
        let (_dir, forwarding) = kernel(&[("eth0", "1")]);
        assert!(forwarding.ensure_ipv4().expect("set"));
        assert!(!forwarding.ensure_ipv4().expect("set"));
        assert!(forwarding.sysctls.is(FORWARDS_IPV4, "1") && forwarding.sysctls.is(FORWARDS_IPV6, "0"));
        assert!(forwarding.sysctls.is(advertisements_of("eth0"), "1"));
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
        assert!(forwarding.sysctls.is(FORWARDS_IPV4, "0") && forwarding.sysctls.is(FORWARDS_IPV6, "1"));
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
            let switch = advertisements_of(interface);
            assert!(forwarding.sysctls.is(switch, expected), "{interface}");
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
