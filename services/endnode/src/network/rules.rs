//! The rules of the machine's firewall, as nft reads them: one table, replaced as a whole.
//!
//! Only what comes from the tunnel device or goes to it is judged, and only what passes through the machine: a client still reaches the
//! node itself. What the rules accept, other tables of the machine may still drop. A rejected packet is answered, so that nobody waits.

use std::fmt::{self, Write as _};

use vpnmanager_nats::network::{Nat, Network};

use super::nft::TABLE;
use crate::{interface::InterfaceName, openvpn::tunnel::Tunnel};

/// With `type`: nft 0.9 does not take it without.
const REJECT: &str = "reject with icmpx type admin-prohibited";

/// Where clouds give a machine its credentials: link-local (most; not to be forwarded besides, RFC 3927, section 7), Alibaba, Oracle.
const METADATA4: &str = "169.254.0.0/16, 100.100.100.200, 192.0.0.192";
/// The same of AWS, Google, Oracle and Scaleway.
const METADATA6: &str = "fd00:ec2::254, fd20:ce::254, fd00:c1::a9fe:a9fe, fd00:42::42";
/// The same of Azure, which is its resolver too.
const WIRE_SERVER: &str = "168.63.129.16";

/// The script that replaces the table by one for this network. With `egress` only what leaves on that interface is masqueraded.
pub(super) fn render(network: &Network, tunnel: &Tunnel, egress: Option<&InterfaceName>) -> String {
    let rules = Rules {
        network,
        tunnel,
        egress,
    };
    let mut text = removal();
    // Writing into a String cannot fail.
    _ = rules.write(&mut text);
    text
}

/// The script that removes the table, also where there is none.
pub(super) fn removal() -> String {
    format!("table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// The script that replaces the table by one that lets nothing through from these devices or to them. The machine forwards on, and without
/// any table clients would reach each other, and every network that routes back to them.
pub(super) fn closed(devices: &[&InterfaceName]) -> String {
    let mut text = removal();
    // Writing into a String cannot fail.
    _ = write_closed(&mut text, devices);
    text
}

fn write_closed(out: &mut String, devices: &[&InterfaceName]) -> fmt::Result {
    writeln!(out, "table inet {TABLE} {{")?;
    writeln!(out, "\tchain forwarded {{")?;
    writeln!(out, "\t\ttype filter hook forward priority filter; policy accept;")?;
    for device in devices {
        writeln!(out, "\t\tiifname \"{device}\" {REJECT}")?;
        writeln!(out, "\t\toifname \"{device}\" {REJECT}")?;
    }
    writeln!(out, "\t}}")?;
    writeln!(out, "}}")
}

struct Rules<'a> {
    network: &'a Network,
    tunnel: &'a Tunnel,
    egress: Option<&'a InterfaceName>,
}

/// The routes of one family.
struct Family {
    is_ipv4: bool,
    /// Of its addresses in rules.
    word: &'static str,
    set: &'static str,
    kind: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        is_ipv4: true,
        word: "ip",
        set: "routes4",
        kind: "ipv4_addr",
    },
    Family {
        is_ipv4: false,
        word: "ip6",
        set: "routes6",
        kind: "ipv6_addr",
    },
];

impl Rules<'_> {
    fn write(&self, out: &mut String) -> fmt::Result {
        let device = &self.tunnel.device;
        writeln!(out, "table inet {TABLE} {{")?;
        for family in &FAMILIES {
            self.write_set(out, family)?;
        }
        self.write_from_clients(out)?;
        self.write_to_clients(out)?;
        writeln!(out, "\tchain forwarded {{")?;
        writeln!(out, "\t\ttype filter hook forward priority filter; policy accept;")?;
        writeln!(out, "\t\tiifname \"{device}\" jump from_clients")?;
        writeln!(out, "\t\toifname \"{device}\" jump to_clients")?;
        writeln!(out, "\t}}")?;
        match self.network.nat {
            Nat::Masquerade => self.write_masquerading(out)?,
            Nat::None => {}
        }
        writeln!(out, "}}")
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
        writeln!(out, "\tset {} {{", family.set)?;
        writeln!(out, "\t\ttype {}", family.kind)?;
        writeln!(out, "\t\tflags interval")?;
        writeln!(out, "\t\tauto-merge")?;
        writeln!(out, "\t\telements = {{ {} }}", elements.join(", "))?;
        writeln!(out, "\t}}")
    }

    /// What a client may send is judged by where it goes, in running connections too: a route that is taken away ends them.
    fn write_from_clients(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\tchain from_clients {{")?;
        writeln!(out, "\t\tip saddr != {} drop", self.tunnel.network)?;
        match self.tunnel.network6 {
            Some(network) => writeln!(out, "\t\tip6 saddr != {network} drop")?,
            None => writeln!(out, "\t\tmeta nfproto ipv6 drop")?,
        }
        self.write_max_segment(out)?;
        // Before the routes: one may overlap the tunnel's network.
        let verdict = if self.network.client_to_client {
            "accept"
        } else {
            REJECT
        };
        writeln!(out, "\t\toifname \"{}\" {verdict}", self.tunnel.device)?;
        // Before the routes: `168.0.0.0/6` and `fd00::/8` hold some of them.
        writeln!(out, "\t\tip daddr {{ {METADATA4} }} {REJECT}")?;
        writeln!(out, "\t\tip daddr {WIRE_SERVER} tcp dport != 53 {REJECT}")?;
        writeln!(out, "\t\tip6 daddr {{ {METADATA6} }} {REJECT}")?;
        self.write_routes(out, "daddr")?;
        if self.network.redirect_gateway {
            writeln!(out, "\t\taccept")?;
        } else {
            writeln!(out, "\t\t{REJECT}")?;
        }
        writeln!(out, "\t}}")
    }

    /// Behind an address of the node nobody can mean a client: only answers reach one.
    fn write_to_clients(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\tchain to_clients {{")?;
        self.write_max_segment(out)?;
        writeln!(out, "\t\tct state established,related accept")?;
        match self.network.nat {
            Nat::Masquerade => {}
            Nat::None => self.write_routes(out, "saddr")?,
        }
        // An answer would end a connection that has other ways.
        writeln!(out, "\t\tct state invalid drop")?;
        writeln!(out, "\t\t{REJECT}")?;
        writeln!(out, "\t}}")
    }

    fn write_routes(&self, out: &mut String, side: &str) -> fmt::Result {
        for Family { word, set, .. } in FAMILIES.iter().filter(|family| self.has_routes(family)) {
            writeln!(out, "\t\t{word} {side} @{set} accept")?;
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

    /// Not what the node sends to itself or to clients from its address in the tunnel.
    fn write_masquerading(&self, out: &mut String) -> fmt::Result {
        let leaves = match self.egress {
            Some(egress) => format!("oifname \"{egress}\""),
            None => format!("oifname != {{ \"lo\", \"{}\" }}", self.tunnel.device),
        };
        writeln!(out, "\tchain masquerading {{")?;
        writeln!(out, "\t\ttype nat hook postrouting priority srcnat; policy accept;")?;
        writeln!(out, "\t\tip saddr {} {leaves} masquerade", self.tunnel.network)?;
        if let Some(network) = self.tunnel.network6 {
            writeln!(out, "\t\tip6 saddr {network} {leaves} masquerade")?;
        }
        writeln!(out, "\t}}")
    }
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::network::MaxSegment;

    use super::*;
    use crate::network::fixtures::{tunnel, with_routes};

    #[test]
    fn rendered_for_routes_of_both_families() {
        let network = Network {
            max_segment: Some(MaxSegment::try_from(1360).expect("a segment")),
            ..with_routes(&["10.20.0.0/16", "192.0.2.7/32", "2001:db8:20::/48"])
        };
        insta::assert_snapshot!(render(&network, &tunnel(Some("fd00:8::/64")), None));
    }

    #[test]
    fn rendered_for_all_traffic_without_ipv6_out_of_one_interface() {
        let network = Network {
            redirect_gateway: true,
            client_to_client: true,
            ..Network::default()
        };
        let egress = "eth1".parse().expect("a name");
        insta::assert_snapshot!(render(&network, &tunnel(None), Some(&egress)));
    }

    #[test]
    fn rendered_without_nat() {
        let network = Network {
            nat: Nat::None,
            ..with_routes(&["10.20.0.0/16"])
        };
        insta::assert_snapshot!(render(&network, &tunnel(None), None));
    }

    #[test]
    fn nothing_is_routed_in_a_network_that_has_nothing() {
        let text = render(&Network::default(), &tunnel(None), None);
        assert!(!text.contains("@routes") && !text.contains("\n\t\taccept\n"), "{text}");
        assert!(text.starts_with(&removal()), "{text}");
    }
}
