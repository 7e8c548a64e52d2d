//! Which tunnel device a process has.

use std::fs;

use crate::interface::InterfaceName;

/// The device of the first tunnel that a process holds: the kernel tells it with the descriptor (`tun_chr_show_fdinfo` of its tun.c).
pub(super) fn tunnel_device_of(pid: u32) -> Option<InterfaceName> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).ok()?;
    let mut told = descriptors.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    told.find_map(|told| named_in(&told))
}

fn named_in(told: &str) -> Option<InterfaceName> {
    let name = told.lines().find_map(|line| line.strip_prefix("iff:"))?;
    name.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_stands_in_what_the_kernel_tells_of_a_descriptor() {
        let told = "pos:\t48\nflags:\t02104002\nmnt_id:\t62\nino:\t105\niff:\ttun0\n";
        assert_eq!(named_in(told).map(String::from).as_deref(), Some("tun0"));
        for other in ["", "pos:\t0\nflags:\t02\n", "iff:\t\n"] {
            assert_eq!(named_in(other), None, "{other:?}");
        }
        assert_eq!(tunnel_device_of(std::process::id()), None);
    }
}
