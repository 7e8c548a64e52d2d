//! Checks whether this machine can have namespaces and tunnels.

use std::{fs::OpenOptions, path::Path, process::Command, sync::OnceLock};

use crate::{binaries, require::require};

/// `Ok` if real tunnels are possible here, otherwise the reason, for people.
pub fn has_tunnels() -> Result<(), &'static str> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    match ANSWER.get_or_init(probe) {
        Ok(()) => Ok(()),
        Err(reason) => Err(reason),
    }
}

/// Whether this machine's kernel has IPv6.
#[must_use]
pub fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

fn probe() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("network namespaces need root".to_owned());
    }
    let tun = Path::new("/dev/net/tun");
    if let Err(error) = OpenOptions::new().read(true).write(true).open(tun) {
        return Err(format!("no tunnel device {}: {error}", tun.display()));
    }
    binaries::openvpn().map_err(|missing| missing.to_string())?;
    for tool in ["ip", "ping", "nft"] {
        if binaries::tool(tool).is_none() {
            return Err(format!("the program `{tool}` is missing"));
        }
    }
    let name = format!("vpnm-probe-{}", std::process::id());
    let made = try_ip(&["netns", "add", &name]);
    let linked = made.and_then(|()| {
        let linked = try_ip(&["-n", &name, "link", "add", "br0", "type", "bridge"]);
        try_ip(&["netns", "del", &name])?;
        linked
    });
    linked.map_err(|error| format!("no network namespaces here: {error}"))
}

fn try_ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// For tests: `Some` if tunnels are possible; otherwise prints to standard error that `test` is skipped, and why.
///
/// # Panics
/// If tunnels are not possible although `VPNMANAGER_REQUIRE_TUNNELS` is 1 (as on the project's CI): tests that must run there must not pass
/// by being skipped.
#[must_use]
pub fn require_tunnels(test: &str) -> Option<()> {
    require(test, "VPNMANAGER_REQUIRE_TUNNELS", has_tunnels())
}
