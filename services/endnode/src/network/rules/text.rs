//! How chains are written.

use std::fmt::{self, Write as _};

use crate::{interface::InterfaceName, openvpn::tunnel::Tunnel};

/// With `type`: nft 0.9 does not take it without.
pub(super) const REJECT: &str = "reject with icmpx type admin-prohibited";

/// A chain of these rules.
pub(super) fn write_chain(out: &mut String, name: &str, rules: &[String]) -> fmt::Result {
    writeln!(out, "\tchain {name} {{")?;
    write_rules(out, rules)?;
    writeln!(out, "\t}}")
}

/// Rules, in a chain that has begun.
pub(super) fn write_rules(out: &mut String, rules: &[String]) -> fmt::Result {
    rules.iter().try_for_each(|rule| writeln!(out, "\t\t{rule}"))
}

/// One of these, as nft reads it.
pub(super) fn one_of(items: &[String]) -> String {
    match items {
        [item] => item.clone(),
        items => format!("{{ {} }}", items.join(", ")),
    }
}

/// The device of one of these tunnels, as nft reads it.
pub(super) fn devices(tunnels: &[Tunnel]) -> String {
    let devices: Vec<String> = tunnels.iter().map(|tunnel| quoted(&tunnel.device)).collect();
    one_of(&devices)
}

/// A device, as nft reads it.
pub(super) fn quoted(device: &InterfaceName) -> String {
    format!("\"{device}\"")
}

/// The rules that drop what comes out of one of these tunnels and not from an address of that tunnel: nobody is known by another one. For
/// chains of what comes out of one of them.
pub(super) fn from_elsewhere(tunnels: &[Tunnel]) -> Vec<String> {
    match tunnels {
        [tunnel] => from_elsewhere_in(tunnel).to_vec(),
        tunnels => from_elsewhere_by_device(tunnels),
    }
}

/// The same for any chain.
pub(super) fn from_elsewhere_by_device(tunnels: &[Tunnel]) -> Vec<String> {
    let by_device = |tunnel: &Tunnel| {
        let device = quoted(&tunnel.device);
        from_elsewhere_in(tunnel).map(|rule| format!("iifname {device} {rule}"))
    };
    tunnels.iter().flat_map(by_device).collect()
}

fn from_elsewhere_in(tunnel: &Tunnel) -> [String; 2] {
    let ipv6 = match tunnel.network6 {
        Some(network) => format!("ip6 saddr != {network} drop"),
        None => "meta nfproto ipv6 drop".to_owned(),
    };
    [format!("ip saddr != {} drop", tunnel.network), ipv6]
}
