//! How chains are written.

use std::fmt::{self, Write as _};

use crate::openvpn::tunnel::Tunnel;

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

/// The rules that drop what does not come from an address of this tunnel: nobody is known by another one.
pub(super) fn from_elsewhere(tunnel: &Tunnel) -> [String; 2] {
    let ipv6 = match tunnel.network6 {
        Some(network) => format!("ip6 saddr != {network} drop"),
        None => "meta nfproto ipv6 drop".to_owned(),
    };
    [format!("ip saddr != {} drop", tunnel.network), ipv6]
}
