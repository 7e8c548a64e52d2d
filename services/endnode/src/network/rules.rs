//! The rules of the machine's firewall, as nft reads them: one table, replaced as a whole.
//!
//! Only what comes from the tunnel devices or goes to them is judged: what passes through the machine, and of members of groups what is for the
//! node itself. What the rules accept, other tables of the machine may still drop. A rejected packet is answered, so that nobody waits.

mod family;
mod groups;
mod limit;
mod reach;
mod text;

use std::fmt::{self, Write as _};

use vpnmanager_nats::network::{DnsServer, Nat, Network};

use self::{
    family::{FAMILIES, Family},
    groups::GroupChains,
    text::{REJECT, devices, from_elsewhere, quoted, write_chain, write_rules},
};
use super::{members::Members, nft::TABLE};
use crate::{interface::InterfaceName, openvpn::tunnel::Tunnel};

/// Where clouds give a machine its credentials: link-local (most; not to be forwarded besides, RFC 3927, section 7), Alibaba, Oracle.
const METADATA4: &str = "169.254.0.0/16, 100.100.100.200, 192.0.0.192";
/// The same of AWS, Google, Oracle and Scaleway.
const METADATA6: &str = "fd00:ec2::254, fd20:ce::254, fd00:c1::a9fe:a9fe, fd00:42::42";
/// The same of Azure, which is its resolver too.
const WIRE_SERVER: &str = "168.63.129.16";

/// The chain that only rules have that leave to the machine what passes through it ([`of_members`]).
const OF_MEMBERS: &str = "from_members";

/// The script that replaces the table by one for this network. With `egress` only what leaves on that interface is masqueraded.
pub(super) fn render(
    network: &Network,
    tunnels: &[Tunnel],
    members: &Members,
    egress: Option<&InterfaceName>,
) -> String {
    let rules = Rules {
        network,
        tunnels,
        egress,
        groups: GroupChains::new(tunnels, members, &network.dns_servers),
    };
    replacement(|out| rules.write(out))
}

/// The script that removes the table, also where there is none.
pub(super) fn removal() -> String {
    format!("table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// The script that replaces the table by one that lets nothing through from these devices or to them. The machine forwards on, and without
/// any table clients would reach each other, and every network that routes back to them.
pub(super) fn closed(devices: &[InterfaceName]) -> String {
    replacement(|out| write_closed(out, devices))
}

/// The same, and nobody reaches the node itself either: nobody is known by an address.
pub(super) fn sealed(devices: &[InterfaceName]) -> String {
    replacement(|out| {
        write_closed(out, devices)?;
        let mut rules = vec!["type filter hook input priority filter; policy accept;".to_owned()];
        let from = |device: &InterfaceName| format!("iifname {} {REJECT}", quoted(device));
        rules.extend(devices.iter().map(from));
        write_chain(out, "to_node", &rules)
    })
}

/// The same as [`closed`], and members of groups in these tunnels reach of the node itself what they may.
pub(super) fn closed_but_for_node(devices: &[InterfaceName], tunnels: &[Tunnel], members: &Members) -> String {
    let groups = GroupChains::new(tunnels, members, NO_DNS);
    replacement(|out| {
        groups.write_sets(out)?;
        groups.write_chains(out)?;
        write_closed(out, devices)?;
        groups.write_node_chains(out)
    })
}

/// The script for a pool that never had a network: what passes through the machine is its own affair, but nothing from members of groups or
/// to them does.
pub(super) fn of_members(tunnels: &[Tunnel], members: &Members) -> String {
    let groups = GroupChains::new(tunnels, members, NO_DNS);
    replacement(|out| {
        groups.write_sets(out)?;
        groups.write_chains(out)?;
        write_of_members(out, tunnels, members, &groups)?;
        groups.write_node_chains(out)
    })
}

/// Whether a table, as nft prints it, leaves to the machine what passes through it.
pub(super) fn is_of_members(printed: &str) -> bool {
    printed.contains(&format!("chain {OF_MEMBERS} {{"))
}

/// Without a network nothing is pushed to clients.
const NO_DNS: &[DnsServer] = &[];

fn replacement(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = removal();
    _ = writeln!(text, "table inet {TABLE} {{");
    // Writing into a String cannot fail.
    _ = write(&mut text);
    text.push_str("}\n");
    text
}

fn write_closed(out: &mut String, devices: &[InterfaceName]) -> fmt::Result {
    writeln!(out, "\tchain forwarded {{")?;
    writeln!(out, "\t\ttype filter hook forward priority filter; policy accept;")?;
    for device in devices {
        let device = quoted(device);
        writeln!(out, "\t\tiifname {device} {REJECT}")?;
        writeln!(out, "\t\toifname {device} {REJECT}")?;
    }
    writeln!(out, "\t}}")
}

fn write_of_members(out: &mut String, tunnels: &[Tunnel], members: &Members, groups: &GroupChains<'_>) -> fmt::Result {
    let devices = devices(tunnels);
    let write_fixed = |out: &mut String, side: &str| {
        FAMILIES.iter().try_for_each(|family| {
            let spans = members.fixed.spans(family.is_ipv4);
            match spans.is_empty() {
                true => Ok(()),
                false => writeln!(out, "\t\t{} {side} {{ {} }} {REJECT}", family.word, spans.join(", ")),
            }
        })
    };
    writeln!(out, "\tchain {OF_MEMBERS} {{")?;
    write_fixed(out, "saddr")?;
    groups.write_judging(out)?;
    writeln!(out, "\t}}")?;
    writeln!(out, "\tchain to_members {{")?;
    write_fixed(out, "daddr")?;
    writeln!(out, "\t\t{}", groups.delivered())?;
    writeln!(out, "\t}}")?;
    writeln!(out, "\tchain forwarded {{")?;
    writeln!(out, "\t\ttype filter hook forward priority filter; policy accept;")?;
    writeln!(out, "\t\tiifname {devices} jump {OF_MEMBERS}")?;
    writeln!(out, "\t\toifname {devices} jump to_members")?;
    writeln!(out, "\t}}")
}

struct Rules<'a> {
    network: &'a Network,
    tunnels: &'a [Tunnel],
    egress: Option<&'a InterfaceName>,
    groups: GroupChains<'a>,
}

impl Rules<'_> {
    fn write(&self, out: &mut String) -> fmt::Result {
        let devices = devices(self.tunnels);
        for family in &FAMILIES {
            self.write_set(out, family)?;
        }
        self.groups.write_sets(out)?;
        self.groups.write_chains(out)?;
        self.write_from_clients(out)?;
        self.write_to_clients(out)?;
        writeln!(out, "\tchain forwarded {{")?;
        writeln!(out, "\t\ttype filter hook forward priority filter; policy accept;")?;
        writeln!(out, "\t\tiifname {devices} jump from_clients")?;
        writeln!(out, "\t\toifname {devices} jump to_clients")?;
        writeln!(out, "\t}}")?;
        self.groups.write_node_chains(out)?;
        match self.network.nat {
            Nat::Masquerade => self.write_masquerading(out),
            Nat::None => Ok(()),
        }
    }

    fn has_routes(&self, family: &Family) -> bool {
        self.network
            .routes
            .iter()
            .any(|route| route.is_ipv4() == family.is_ipv4)
    }

    /// Prefixes may be in each other.
    fn write_set(&self, out: &mut String, family: &Family) -> fmt::Result {
        let routes = self.network.routes.iter();
        let of_family = routes.filter(|route| route.is_ipv4() == family.is_ipv4);
        let elements: Vec<String> = of_family.map(ToString::to_string).collect();
        if elements.is_empty() {
            return Ok(());
        }
        writeln!(out, "\tset routes{} {{", family.digit)?;
        writeln!(out, "\t\ttype {}", family.kind)?;
        writeln!(out, "\t\tflags interval")?;
        writeln!(out, "\t\tauto-merge")?;
        writeln!(out, "\t\telements = {{ {} }}", elements.join(", "))?;
        writeln!(out, "\t}}")
    }

    /// What a client may send is judged by where it goes, in running connections too: a route that is taken away ends them.
    fn write_from_clients(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\tchain from_clients {{")?;
        write_rules(out, &from_elsewhere(self.tunnels))?;
        self.write_max_segment(out)?;
        self.groups.write_judging(out)?;
        // Before the routes: one may overlap a tunnel's network.
        let verdict = if self.network.client_to_client {
            self.groups.delivered()
        } else {
            REJECT
        };
        writeln!(out, "\t\toifname {} {verdict}", devices(self.tunnels))?;
        // Before the routes: `168.0.0.0/6` and `fd00::/8` hold some of them.
        writeln!(out, "\t\tip daddr {{ {METADATA4} }} {REJECT}")?;
        writeln!(out, "\t\tip daddr {WIRE_SERVER} tcp dport != 53 {REJECT}")?;
        writeln!(out, "\t\tip6 daddr {{ {METADATA6} }} {REJECT}")?;
        self.groups.write_ways(out)?;
        self.write_routes(out, "daddr", "accept")?;
        if self.network.redirect_gateway {
            writeln!(out, "\t\taccept")?;
        } else {
            writeln!(out, "\t\t{REJECT}")?;
        }
        writeln!(out, "\t}}")
    }

    /// Behind an address of the node nobody can mean a client: only answers reach one.
    fn write_to_clients(&self, out: &mut String) -> fmt::Result {
        let delivered = self.groups.delivered();
        writeln!(out, "\tchain to_clients {{")?;
        self.write_max_segment(out)?;
        writeln!(out, "\t\tct state established,related {delivered}")?;
        match self.network.nat {
            Nat::Masquerade => {}
            Nat::None => self.write_routes(out, "saddr", delivered)?,
        }
        // An answer would end a connection that has other ways.
        writeln!(out, "\t\tct state invalid drop")?;
        writeln!(out, "\t\t{REJECT}")?;
        writeln!(out, "\t}}")
    }

    fn write_routes(&self, out: &mut String, side: &str, verdict: &str) -> fmt::Result {
        for Family { word, digit, .. } in FAMILIES.iter().filter(|family| self.has_routes(family)) {
            writeln!(out, "\t\t{word} {side} @routes{digit} {verdict}")?;
        }
        Ok(())
    }

    /// Both ends of a connection announce one when it begins. The kernel only makes it smaller (`nft_exthdr_tcp_set_eval` of its
    /// nft_exthdr.c).
    fn write_max_segment(&self, out: &mut String) -> fmt::Result {
        match self.network.max_segment {
            Some(segment) => writeln!(out, "\t\ttcp flags syn tcp option maxseg size set {}", segment.bytes()),
            None => Ok(()),
        }
    }

    /// Not what the node sends to itself or to clients from its address in a tunnel, nor what clients send to each other.
    fn write_masquerading(&self, out: &mut String) -> fmt::Result {
        let leaves = match self.egress {
            Some(egress) => format!("oifname {}", quoted(egress)),
            None => {
                let devices = self.tunnels.iter().map(|tunnel| quoted(&tunnel.device));
                let inside: Vec<String> = ["\"lo\"".to_owned()].into_iter().chain(devices).collect();
                format!("oifname != {{ {} }}", inside.join(", "))
            }
        };
        writeln!(out, "\tchain masquerading {{")?;
        writeln!(out, "\t\ttype nat hook postrouting priority srcnat; policy accept;")?;
        for tunnel in self.tunnels {
            writeln!(out, "\t\tip saddr {} {leaves} masquerade", tunnel.network)?;
            if let Some(network) = tunnel.network6 {
                writeln!(out, "\t\tip6 saddr {network} {leaves} masquerade")?;
            }
        }
        writeln!(out, "\t}}")
    }
}

#[cfg(test)]
mod tests;
