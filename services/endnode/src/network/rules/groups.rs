//! What holds for the members of groups, who are known by their addresses in the tunnel.
//!
//! Each group with rules has up to three chains: `g0` judges what its members send, and returns what they may to whoever judges where the
//! network leads; `g0_ways` accepts what leads where only they may go; `g0_down` drops what comes to them too fast. Maps lead from addresses
//! to chains.

use std::fmt::{self, Write as _};

use vpnmanager_nats::{groups::GroupRules, network::DnsServer};

use super::{
    family::{FAMILIES, Family},
    limit::{Direction, Limit},
    reach,
    text::{REJECT, devices, from_elsewhere_by_device, write_chain, write_rules},
};
use crate::{
    network::members::{Addresses, Held, Members},
    openvpn::tunnel::Tunnel,
};

/// The chain of addresses that are nobody's, and of groups that are not known.
const STRANGERS: &str = "strangers";

/// The chains of groups, for all tunnels.
#[derive(Debug)]
pub(super) struct GroupChains<'a> {
    tunnels: &'a [Tunnel],
    members: &'a Members,
    dns: &'a [DnsServer],
}

/// A kind of chain that groups have, and the map that leads to those of its kind.
struct Kind {
    map: &'static str,
    /// What names of chains end with.
    suffix: &'static str,
    /// Which groups have one.
    is_had: fn(&GroupRules) -> bool,
    /// Whether fixed addresses that are nobody's are in the map too, and lead to where nothing passes.
    has_strangers: bool,
}

const JUDGED: Kind = Kind {
    map: "members",
    suffix: "",
    is_had: |rules| rules.reach.is_some() || rules.up.is_some(),
    has_strangers: true,
};
const WAYS: Kind = Kind {
    map: "ways",
    suffix: "_ways",
    is_had: |rules| !rules.routes.is_empty(),
    has_strangers: false,
};
const SLOWED: Kind = Kind {
    map: "slowed",
    suffix: "_down",
    is_had: |rules| rules.down.is_some(),
    has_strangers: false,
};

impl Kind {
    fn chain(&self, number: usize) -> String {
        format!("g{number}{}", self.suffix)
    }
}

impl<'a> GroupChains<'a> {
    /// Of these groups. Their members may always ask these servers for names.
    pub(super) fn new(tunnels: &'a [Tunnel], members: &'a Members, dns: &'a [DnsServer]) -> Self {
        Self { tunnels, members, dns }
    }

    /// The sets and the maps.
    pub(super) fn write_sets(&self, out: &mut String) -> fmt::Result {
        for (number, held) in self.members.held.iter().enumerate() {
            for direction in [Direction::Up, Direction::Down] {
                if let Some(limit) = Limit::of(number, &held.rules, direction) {
                    limit.write_sets(out, self.tunnels)?;
                }
            }
        }
        [JUDGED, WAYS, SLOWED]
            .iter()
            .try_for_each(|kind| self.write_maps(out, kind))
    }

    /// The chains.
    pub(super) fn write_chains(&self, out: &mut String) -> fmt::Result {
        if FAMILIES.iter().any(|family| !self.strangers(family).is_empty()) {
            write_chain(out, STRANGERS, &[REJECT.to_owned()])?;
        }
        for (number, held) in self.members.held.iter().enumerate() {
            let chains = [
                (JUDGED, self.judging(number, held)),
                (WAYS, reach::ways(&held.rules.routes)),
                (SLOWED, self.limiting(number, held, Direction::Down)),
            ];
            for (kind, mut rules) in chains {
                if let Some(first) = rules.first_mut() {
                    // So that an operator sees whose chain it is.
                    write!(first, " comment \"{}\"", held.name)?;
                    write_chain(out, &kind.chain(number), &rules)?;
                }
            }
        }
        if self.slows() {
            let mut rules = self.lookups(&SLOWED, "daddr");
            rules.push("accept".to_owned());
            write_chain(out, "delivered", &rules)?;
        }
        Ok(())
    }

    /// In a chain of what clients send: what they may not send goes no further.
    pub(super) fn write_judging(&self, out: &mut String) -> fmt::Result {
        write_rules(out, &self.lookups(&JUDGED, "saddr"))
    }

    /// In the same chain, where the routes of the pool are judged: what leads where only members of a group go is accepted.
    pub(super) fn write_ways(&self, out: &mut String) -> fmt::Result {
        write_rules(out, &self.lookups(&WAYS, "saddr"))
    }

    /// The verdict on what may go to a client. Only that counts for the client's speed.
    pub(super) fn delivered(&self) -> &'static str {
        if self.slows() { "goto delivered" } else { "accept" }
    }

    /// The chains of what clients send to the node itself, and of what it sends to them.
    pub(super) fn write_node_chains(&self, out: &mut String) -> fmt::Result {
        let devices = devices(self.tunnels);
        let judged = self.lookups(&JUDGED, "saddr");
        if !judged.is_empty() {
            let mut rules = vec!["type filter hook input priority filter; policy accept;".to_owned()];
            rules.extend(from_elsewhere_by_device(self.tunnels));
            rules.extend(judged.iter().map(|rule| format!("iifname {devices} {rule}")));
            write_chain(out, "to_node", &rules)?;
        }
        if self.slows() {
            let rules = [
                "type filter hook output priority filter; policy accept;".to_owned(),
                format!("oifname {devices} {}", self.delivered()),
            ];
            write_chain(out, "from_node", &rules)?;
        }
        Ok(())
    }

    fn judging(&self, number: usize, held: &Held) -> Vec<String> {
        let mut rules = self.limiting(number, held, Direction::Up);
        if let Some(entries) = &held.rules.reach {
            rules.extend(reach::judging(entries, self.tunnels, self.dns));
        }
        rules
    }

    fn limiting(&self, number: usize, held: &Held, direction: Direction) -> Vec<String> {
        let limit = Limit::of(number, &held.rules, direction);
        limit.map(|limit| limit.rules(self.tunnels)).unwrap_or_default()
    }

    fn slows(&self) -> bool {
        self.members.held.iter().any(|held| (SLOWED.is_had)(&held.rules))
    }

    fn strangers(&self, family: &Family) -> Vec<String> {
        self.members.strangers.spans(family.is_ipv4)
    }

    /// The rules that lead to the chains of a kind, by the address on this side of a packet.
    fn lookups(&self, kind: &Kind, side: &str) -> Vec<String> {
        let mapped = FAMILIES.iter().filter(|family| !self.elements(kind, family).is_empty());
        mapped
            .map(|Family { word, digit, .. }| format!("{word} {side} vmap @{}{digit}", kind.map))
            .collect()
    }

    fn write_maps(&self, out: &mut String, kind: &Kind) -> fmt::Result {
        for family in &FAMILIES {
            let elements = self.elements(kind, family);
            if elements.is_empty() {
                continue;
            }
            writeln!(out, "\tmap {}{} {{", kind.map, family.digit)?;
            writeln!(out, "\t\ttype {} : verdict", family.kind)?;
            writeln!(out, "\t\tflags interval")?;
            writeln!(out, "\t\telements = {{ {} }}", elements.join(", "))?;
            writeln!(out, "\t}}")?;
        }
        Ok(())
    }

    /// Of the map of a kind.
    fn elements(&self, kind: &Kind, family: &Family) -> Vec<String> {
        let mut elements: Vec<String> = Vec::new();
        let mut lead = |addresses: &Addresses, chain: &str| {
            let spans = addresses.spans(family.is_ipv4);
            elements.extend(spans.iter().map(|span| format!("{span} : jump {chain}")));
        };
        for (number, held) in self.members.held.iter().enumerate() {
            if (kind.is_had)(&held.rules) {
                lead(&held.addresses, &kind.chain(number));
            }
        }
        if kind.has_strangers {
            lead(&self.members.strangers, STRANGERS);
        }
        elements
    }
}
