//! What the machine must have.

use std::fs;

use vpnmanager_runtime::{
    doctor::{Check, Seen, Trouble},
    error_chain::chain,
};

use crate::{
    config::{Config, OpenvpnMode},
    openvpn::process::{check_program, check_tunnel_devices},
};

pub(super) const PRIVILEGES: Check =
    Check::new("privileges", "This account sees what the agent sees").after(&["configuration"]);
pub(super) const PROGRAM: Check =
    Check::new("openvpn", "OpenVPN is installed, and new enough").after(&["configuration"]);
pub(super) const TUNNEL_DEVICE: Check =
    Check::new("tunnel-device", "Tunnel devices can be made").after(&["configuration"]);

/// `CAP_NET_ADMIN` (capabilities(7), linux/capability.h).
const NET_ADMIN: u32 = 12;

/// Why something is not looked at.
pub(super) const NO_OPENVPN: &str = "the agent runs no OpenVPN (OPENVPN_MODE)";

/// Why this machine needs nothing of OpenVPN: that of an operator may run in another container.
fn needs_none(mode: OpenvpnMode) -> Option<&'static str> {
    match mode {
        OpenvpnMode::Managed => None,
        OpenvpnMode::External => Some("the operator runs OpenVPN (OPENVPN_MODE=external)"),
        OpenvpnMode::None => Some(NO_OPENVPN),
    }
}

/// Looks at this process itself: whoever examines a node should be who the agent is.
pub(super) async fn privileges(config: &Config) -> Seen {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let is_root = rustix::process::geteuid().is_root();
    judge(is_root, has_capability(&status, NET_ADMIN), config.openvpn.mode)
}

fn judge(is_root: bool, may_change_the_network: bool, mode: OpenvpnMode) -> Seen {
    if !is_root {
        let trouble = Trouble::new(
            "this is not root",
            "what only root sees is told as missing",
            "sudo vpnmanager-endnode doctor",
        );
        return Seen::warning(trouble, ());
    }
    if mode == OpenvpnMode::Managed && !may_change_the_network {
        return Seen::failed(Trouble::new(
            "root may not change the network here (CAP_NET_ADMIN)",
            "a container has that right only when it is given: OpenVPN can make no tunnel, and the agent no rule of the firewall",
            "docker run --cap-add NET_ADMIN --device /dev/net/tun ...",
        ));
    }
    Seen::fine("this is root", ())
}

/// Whether the effective set of `/proc/self/status` has it. Where it does not say, it does.
fn has_capability(status: &str, number: u32) -> bool {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_none_or(|set| set & (1 << number) != 0)
}

/// Asks the program for its version.
pub(super) async fn program(config: &Config) -> Seen {
    if let Some(why) = needs_none(config.openvpn.mode) {
        return Seen::skipped(why);
    }
    let binary = &config.openvpn.binary;
    match check_program(binary).await {
        Ok(()) => Seen::fine(format!("{} is new enough", binary.display()), ()),
        Err(error) => Seen::failed(Trouble::new(
            format!("{} cannot be used", binary.display()),
            chain(&error).to_string(),
            "apt-get install openvpn",
        )),
    }
}

/// Opens the device, which makes no tunnel.
pub(super) async fn tunnel_device(config: &Config) -> Seen {
    if let Some(why) = needs_none(config.openvpn.mode) {
        return Seen::skipped(why);
    }
    match check_tunnel_devices() {
        Ok(()) => Seen::fine("tunnels can be made", ()),
        Err(error) => Seen::failed(Trouble::new(
            "no tunnel can be made",
            chain(&error).to_string(),
            "modprobe tun",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_from_what_the_kernel_says_of_the_process() {
        let of_a_container = "Name:\tx\nCapEff:\t00000000a80425fb\n";
        assert!(!has_capability(of_a_container, NET_ADMIN));
        assert!(has_capability("CapEff:\t000001ffffffffff\n", NET_ADMIN));
        assert!(has_capability("", NET_ADMIN));
        let said = |is_root, may, mode| format!("{:?}", judge(is_root, may, mode));
        assert!(said(false, true, OpenvpnMode::Managed).contains("Warning"));
        assert!(said(true, false, OpenvpnMode::Managed).contains("Failed"));
        assert!(said(true, false, OpenvpnMode::None).contains("Fine"));
        assert!(said(true, true, OpenvpnMode::Managed).contains("Fine"));
    }

    #[test]
    fn only_an_agent_that_runs_openvpn_needs_it_on_its_machine() {
        assert_eq!(needs_none(OpenvpnMode::Managed), None);
        for other in [OpenvpnMode::External, OpenvpnMode::None] {
            assert!(needs_none(other).is_some(), "{other:?}");
        }
    }
}
