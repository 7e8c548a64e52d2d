//! The kernel's switches of forwarding (ip-sysctl of the kernel's documentation).

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// Whether the machine forwards IPv4: `1`, or `0`.
pub(crate) const FORWARDS_IPV4: &str = "net/ipv4/ip_forward";
/// Whether it forwards IPv6.
pub(crate) const FORWARDS_IPV6: &str = "net/ipv6/conf/all/forwarding";

const INTERFACES: &str = "net/ipv6/conf";
/// Router advertisements are taken unless the machine forwards.
const UNLESS_IT_FORWARDS: &str = "1";

/// The switches of a machine, each named by its path in their folder.
#[derive(Debug, Clone)]
pub(crate) struct Sysctls {
    /// `/proc/sys`.
    root: PathBuf,
}

impl Sysctls {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The file of a switch.
    pub(crate) fn file_of(&self, switch: impl AsRef<Path>) -> PathBuf {
        self.root.join(switch)
    }

    /// Whether a switch has this value. One that cannot be read has none.
    pub(crate) fn is(&self, switch: impl AsRef<Path>, value: &str) -> bool {
        fs::read_to_string(self.file_of(switch)).is_ok_and(|found| found.trim() == value)
    }

    /// The interfaces that take router advertisements unless the machine forwards, in the order of their names. Without IPv6 in the kernel
    /// there are none.
    pub(crate) fn advertised(&self) -> Vec<OsString> {
        let found = fs::read_dir(self.file_of(INTERFACES)).into_iter().flatten().flatten();
        let names = found.map(|interface| interface.file_name());
        let is_interface = |name: &OsString| !matches!(name.to_str(), Some("all" | "default" | "lo"));
        let takes = |name: &OsString| self.is(advertisements_of(name), UNLESS_IT_FORWARDS);
        let mut names: Vec<OsString> = names.filter(is_interface).filter(takes).collect();
        names.sort();
        names
    }
}

/// The switch that says whether an interface takes router advertisements.
pub(crate) fn advertisements_of(interface: impl AsRef<Path>) -> PathBuf {
    Path::new(INTERFACES).join(interface).join("accept_ra")
}

/// What sysctl calls a switch. A dot in the name of an interface is a slash there, because the parts of the name have dots between them.
pub(crate) fn name_of(switch: impl AsRef<Path>) -> String {
    let path = switch.as_ref().display().to_string();
    let swapped = path.chars().map(|character| match character {
        '/' => '.',
        '.' => '/',
        other => other,
    });
    swapped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_called_as_sysctl_takes_it() {
        assert_eq!(name_of(FORWARDS_IPV4), "net.ipv4.ip_forward");
        assert_eq!(name_of(FORWARDS_IPV6), "net.ipv6.conf.all.forwarding");
        assert_eq!(name_of(advertisements_of("eth1.5")), "net.ipv6.conf.eth1/5.accept_ra");
    }

    #[test]
    fn interfaces_that_stop_taking_advertisements_are_told_in_order_and_no_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let sysctls = Sysctls::new(dir.path().to_owned());
        assert_eq!(sysctls.advertised(), Vec::<OsString>::new());
        for (interface, value) in [
            ("all", "1"),
            ("default", "1"),
            ("lo", "1"),
            ("eth1", "1"),
            ("eth0", "1"),
            ("eth2", "0"),
            ("eth3", "2"),
        ] {
            let file = sysctls.file_of(advertisements_of(interface));
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, format!("{value}\n")).expect("written");
        }
        assert_eq!(sysctls.advertised(), ["eth0", "eth1"]);
        assert!(sysctls.is(advertisements_of("eth2"), "0") && !sysctls.is(advertisements_of("eth4"), "0"));
    }
}
