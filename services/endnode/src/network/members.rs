//! Whose the addresses of the tunnels are, and what holds for them. Pure.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use vpnmanager_nats::groups::{GroupName, GroupRules, Groups};

use crate::{groups::Layout, openvpn::tunnel::Tunnel};

/// Addresses from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span<A> {
    first: A,
    last: A,
}

/// As nft reads it.
impl<A: fmt::Display + PartialEq> fmt::Display for Span<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => self.first.fmt(f),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Addresses of both families.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    v4: Vec<Span<Ipv4Addr>>,
    v6: Vec<Span<Ipv6Addr>>,
}

impl Addresses {
    /// Those of one family, as nft reads them.
    pub(super) fn spans(&self, is_ipv4: bool) -> Vec<String> {
        match is_ipv4 {
            true => self.v4.iter().map(ToString::to_string).collect(),
            false => self.v6.iter().map(ToString::to_string).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// What begins where the last span ends is of that span.
    fn push4(&mut self, first: Ipv4Addr, last: Ipv4Addr) {
        match self.v4.last_mut() {
            Some(before) if before.last.to_bits().checked_add(1) == Some(first.to_bits()) => before.last = last,
            Some(_) | None => self.v4.push(Span { first, last }),
        }
    }

    /// What begins where the last span ends is of that span.
    fn push6(&mut self, first: Ipv6Addr, last: Ipv6Addr) {
        match self.v6.last_mut() {
            Some(before) if before.last.to_bits().checked_add(1) == Some(first.to_bits()) => before.last = last,
            Some(_) | None => self.v6.push(Span { first, last }),
        }
    }

    /// Those of the lowest numbers first. Tunnels of older configurations may lie anywhere.
    fn in_order(mut self) -> Self {
        self.v4.sort_unstable_by_key(|span| span.first);
        self.v6.sort_unstable_by_key(|span| span.first);
        self
    }
}

/// A group whose members have addresses in the tunnels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// The group.
    pub(super) name: GroupName,
    /// What holds for its members: something.
    pub(super) rules: GroupRules,
    /// What packets of its members come from.
    pub(super) addresses: Addresses,
}

/// Whose the addresses of the tunnels are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// The groups that have addresses and rules, in the order of their names.
    pub(super) held: Vec<Held>,
    /// Fixed addresses of nobody, and of groups that are not known.
    pub(super) strangers: Addresses,
    /// All fixed addresses.
    pub(super) fixed: Addresses,
}

impl Members {
    /// Of these tunnels, each with the groups whose its blocks are. No two have an address in common. Addresses that are not fixed are those
    /// of the group `default`.
    pub(super) fn of<'a>(
        tunnels: impl IntoIterator<Item = (&'a Tunnel, &'a BTreeMap<u32, GroupName>)>,
        known: Option<&Groups>,
    ) -> Self {
        let mut addresses: BTreeMap<GroupName, Addresses> = BTreeMap::new();
        let (mut strangers, mut fixed) = (Addresses::default(), Addresses::default());
        let is_known =
            |name: &&GroupName| known.is_some_and(|known| known.groups.iter().any(|group| group.name == **name));
        for (tunnel, blocks) in tunnels {
            add_dynamic(tunnel, addresses.entry(GroupName::default()).or_default());
            for block in fixed_blocks(tunnel) {
                block.add_to(&mut fixed);
                let owner = block.number.and_then(|number| blocks.get(&number)).filter(is_known);
                match owner {
                    Some(group) => block.add_to(addresses.entry(group.clone()).or_default()),
                    None => block.add_to(&mut strangers),
                }
            }
        }
        let groups = known.map(|known| known.groups.clone()).unwrap_or_default();
        let mut held: Vec<Held> = groups
            .into_iter()
            .filter(|group| !group.rules.is_empty())
            .filter_map(|group| {
                let addresses = addresses
                    .remove(&group.name)
                    .filter(|addresses| !addresses.is_empty())?;
                Some(Held {
                    name: group.name,
                    rules: group.rules,
                    addresses: addresses.in_order(),
                })
            })
            .collect();
        held.sort_by(|one, other| one.name.cmp(&other.name));
        Self {
            held,
            strangers: strangers.in_order(),
            fixed: fixed.in_order(),
        }
    }
}

/// Addresses that belong together.
struct Block {
    /// `None`: behind all blocks.
    number: Option<u32>,
    v4: Option<(Ipv4Addr, Ipv4Addr)>,
    v6: Option<(Ipv6Addr, Ipv6Addr)>,
}

impl Block {
    fn add_to(&self, addresses: &mut Addresses) {
        if let Some((first, last)) = self.v4 {
            addresses.push4(first, last);
        }
        if let Some((first, last)) = self.v6 {
            addresses.push6(first, last);
        }
    }
}

/// What OpenVPN gives out by itself, and what is the server's own.
fn add_dynamic(tunnel: &Tunnel, addresses: &mut Addresses) {
    let layout = Layout::new(tunnel.network, tunnel.network6);
    let (last, before6) = match tunnel.is_split {
        true => (layout.last_dynamic(), layout.block_net6(0)),
        false => (tunnel.network.last(), None),
    };
    addresses.push4(tunnel.network.address(), last);
    if let Some(network) = tunnel.network6 {
        let last = before6.map_or(network.last(), |fixed| {
            Ipv6Addr::from_bits(fixed.network().to_bits().saturating_sub(1))
        });
        addresses.push6(network.address(), last);
    }
}

/// The upper half of the addresses, in order.
fn fixed_blocks(tunnel: &Tunnel) -> Vec<Block> {
    if !tunnel.is_split {
        return Vec::new();
    }
    let layout = Layout::new(tunnel.network, tunnel.network6);
    let mut blocks: Vec<Block> = (0..layout.blocks())
        .map(|number| {
            let (v4, v6) = (layout.block_net(number), layout.block_net6(number));
            Block {
                number: Some(number),
                v4: Some((v4.network(), v4.broadcast())),
                v6: v6.map(|v6| (v6.network(), v6.broadcast())),
            }
        })
        .collect();
    // An IPv6 network has more addresses than blocks.
    let behind = blocks.iter().rev().find_map(|block| block.v6).map(|(_, last)| last);
    if let (Some(network), Some(behind)) = (tunnel.network6, behind)
        && behind < network.last()
    {
        let first = Ipv6Addr::from_bits(behind.to_bits().saturating_add(1));
        blocks.push(Block {
            number: None,
            v4: None,
            v6: Some((first, network.last())),
        });
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixtures::{HALVES6, blocks, filter, group, groups, tunnel, two_tunnels};

    fn spans(addresses: &Addresses) -> (String, String) {
        (addresses.spans(true).join(", "), addresses.spans(false).join(", "))
    }

    #[test]
    fn each_fixed_address_is_that_of_a_known_group_or_of_a_stranger() {
        let known = groups(&[
            group("default"),
            filter("eng", &[]),
            group("free"),
            filter("nobody", &[]),
        ]);
        let blocks = blocks(&[(0, "eng"), (1, "eng"), (3, "free"), (4, "gone"), (127, "eng")]);

        let tunnel = tunnel(Some("fd00:8::/64"));

        let members = Members::of([(&tunnel, &blocks)], Some(&known));

        let [held] = members.held.as_slice() else {
            panic!("{:?}", members.held)
        };
        assert_eq!(held.name, "eng");
        assert_eq!(
            spans(&held.addresses),
            (
                "10.8.128.0-10.8.129.255, 10.8.255.0-10.8.255.255".to_owned(),
                "fd00:8::9000-fd00:8::91ff, fd00:8::1:f00-fd00:8::1:fff".to_owned()
            )
        );
        assert_eq!(
            spans(&members.strangers),
            (
                "10.8.130.0-10.8.130.255, 10.8.132.0-10.8.254.255".to_owned(),
                "fd00:8::9200-fd00:8::92ff, fd00:8::9400-fd00:8::1:eff, fd00:8::1:1000-fd00:8::ffff:ffff:ffff:ffff"
                    .to_owned()
            )
        );
        assert_eq!(
            spans(&members.fixed),
            (
                "10.8.128.0-10.8.255.255".to_owned(),
                "fd00:8::9000-fd00:8::ffff:ffff:ffff:ffff".to_owned()
            )
        );
    }

    #[test]
    fn addresses_that_openvpn_gives_out_by_itself_are_those_of_the_group_of_all_others() {
        let known = groups(&[filter("default", &[])]);
        let nobody = BTreeMap::new();
        let of = |tunnel: &Tunnel, known| Members::of([(tunnel, &nobody)], known);
        let split = tunnel(Some("fd00:8::7:0/112"));
        let members = of(&split, Some(&known));
        assert_eq!(
            spans(&members.held[0].addresses),
            (
                "10.8.0.0-10.8.127.255".to_owned(),
                "fd00:8::7:0-fd00:8::7:8fff".to_owned()
            )
        );
        assert_eq!(
            spans(&members.strangers),
            (
                "10.8.128.0-10.8.255.255".to_owned(),
                "fd00:8::7:9000-fd00:8::7:ffff".to_owned()
            )
        );
        assert_eq!(of(&split, None).held, []);

        let earlier = Tunnel {
            is_split: false,
            ..tunnel(None)
        };
        let members = of(&earlier, Some(&known));
        assert_eq!(
            spans(&members.held[0].addresses),
            ("10.8.0.0-10.8.255.255".to_owned(), String::new())
        );
        assert!(members.strangers.is_empty() && members.fixed.is_empty());
    }

    #[test]
    fn members_have_their_blocks_in_each_tunnel_in_whichever_order_these_come() {
        let known = groups(&[filter("default", &[]), filter("eng", &[])]);
        let blocks = blocks(&[(0, "eng"), (2, "gone")]);
        let [udp, tcp] = two_tunnels(Some(HALVES6));
        let of = |tunnels: [&Tunnel; 2]| Members::of(tunnels.map(|tunnel| (tunnel, &blocks)), Some(&known));

        let members = of([&udp, &tcp]);

        let held: Vec<_> = members.held.iter().map(|held| spans(&held.addresses)).collect();
        let texts = |v4: &str, v6: &str| (v4.to_owned(), v6.to_owned());
        assert_eq!(
            held,
            [
                texts(
                    "10.8.0.0-10.8.63.255, 10.8.128.0-10.8.191.255",
                    "fd00:8::-fd00:8::8fff, fd00:8:0:0:8000::-fd00:8::8000:0:0:8fff"
                ),
                texts(
                    "10.8.64.0-10.8.64.127, 10.8.192.0-10.8.192.127",
                    "fd00:8::9000-fd00:8::907f, fd00:8::8000:0:0:9000-fd00:8::8000:0:0:907f"
                ),
            ]
        );
        assert_eq!(
            spans(&members.strangers),
            texts(
                "10.8.64.128-10.8.127.255, 10.8.192.128-10.8.255.255",
                "fd00:8::9080-fd00:8::7fff:ffff:ffff:ffff, fd00:8::8000:0:0:9080-fd00:8::ffff:ffff:ffff:ffff"
            )
        );
        assert_eq!(
            members.fixed.spans(true),
            ["10.8.64.0-10.8.127.255", "10.8.192.0-10.8.255.255"]
        );
        assert_eq!(of([&tcp, &udp]), members);
    }
}
