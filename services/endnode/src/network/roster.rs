//! What is known of groups at one moment: what holds for whom, and whose the fixed addresses are. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use vpnmanager_nats::{
    groups::{Group, GroupName, Groups},
    ids::Revision,
};

use super::members::Members;
use crate::{
    groups::{Layout, judges_default},
    openvpn::tunnel::Tunnel,
};

/// What is known of groups.
#[derive(Debug, Clone)]
pub(super) struct Roster {
    /// What management told; `None`: nothing yet.
    pub(super) told: Option<Arc<Groups>>,
    /// Whose the blocks of fixed addresses are.
    pub(super) blocks: BTreeMap<u32, GroupName>,
    /// The newest change of them that is in it.
    pub(super) change: u64,
    /// Of these blocks, in the tunnel of the first listener. They are the same in all.
    pub(super) layout: Layout,
}

impl Roster {
    /// How often groups had been changed.
    pub(super) fn revision(&self) -> Option<Revision> {
        self.told.as_ref().map(|told| told.revision)
    }

    /// The groups that are known.
    pub(super) fn known(&self) -> &[Group] {
        match &self.told {
            Some(told) => &told.groups,
            None => &[],
        }
    }

    /// Whether anybody has a fixed address.
    pub(super) fn has_members(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// Whether it has something to hold those to who are in no other group than `default`.
    pub(super) fn judges_default(&self) -> bool {
        judges_default(self.known())
    }

    /// Whether the firewall has something to hold anybody to, where no network of the pool is.
    pub(super) fn needs_rules(&self) -> bool {
        self.has_members() || self.judges_default()
    }

    /// Whether this group has members on this node: all others are in `default`.
    pub(super) fn is_here(&self, name: &GroupName) -> bool {
        name.is_default() || self.blocks.values().any(|owner| owner == name)
    }

    /// The groups that have a file of what is pushed to their members: those that are known, and those that have members.
    pub(super) fn pushed(&self) -> BTreeSet<GroupName> {
        let known = self.known().iter().map(|group| &group.name);
        let all = known.chain(self.blocks.values());
        all.filter(|name| !name.is_default()).cloned().collect()
    }

    /// Whose the addresses of these tunnels are, which may be those of older configurations. Where the blocks of one are others, they are
    /// nobody's.
    pub(super) fn members(&self, tunnels: &[Tunnel]) -> Members {
        let nobody = BTreeMap::new();
        let owned = tunnels.iter().map(|tunnel| {
            let is_same = Layout::new(tunnel.network, tunnel.network6).half() == self.layout.half();
            (tunnel, if is_same { &self.blocks } else { &nobody })
        });
        Members::of(owned, self.told.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixtures::{blocks, filter, group, groups, tunnel, two_tunnels};

    fn roster(told: &[Group], owners: &[(u32, &str)]) -> Roster {
        of_tunnel(&tunnel(None), told, owners)
    }

    fn of_tunnel(tunnel: &Tunnel, told: &[Group], owners: &[(u32, &str)]) -> Roster {
        Roster {
            told: Some(Arc::new(groups(told))),
            blocks: blocks(owners),
            change: 0,
            layout: Layout::new(tunnel.network, tunnel.network6),
        }
    }

    #[test]
    fn rules_are_needed_once_somebody_is_held_to_something() {
        for (told, owners, expected) in [
            (vec![group("default"), filter("eng", &[])], vec![], false),
            (vec![filter("default", &[])], vec![], true),
            (vec![group("default"), group("eng")], vec![(0, "eng")], true),
            (vec![], vec![(0, "gone")], true),
        ] {
            assert_eq!(roster(&told, &owners).needs_rules(), expected, "{told:?} {owners:?}");
        }
    }

    #[test]
    fn a_group_has_a_file_while_it_is_known_or_has_members() {
        let roster = roster(
            &[group("default"), group("eng"), group("ops")],
            &[(0, "eng"), (1, "gone")],
        );
        let names: Vec<String> = roster.pushed().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["eng", "gone", "ops"]);
        let is_here = |name: &str| roster.is_here(&name.parse().expect("a name"));
        assert!(is_here("default") && is_here("eng") && is_here("gone") && !is_here("ops"));
    }

    #[test]
    fn in_a_tunnel_with_other_blocks_fixed_addresses_are_nobodys() {
        let roster = roster(&[filter("eng", &[])], &[(0, "eng")]);
        let mut other = [tunnel(None)];
        assert_eq!(roster.members(&other).held.len(), 1);
        other[0].network = "10.9.0.0/16".parse().expect("a network");
        assert_eq!(roster.members(&other).held.len(), 1, "the same blocks at another place");
        other[0].network = "10.9.0.0/24".parse().expect("a network");
        let members = roster.members(&other);
        assert_eq!(members.held, []);
        assert_eq!(members.strangers.spans(true), ["10.9.0.128-10.9.0.255"]);
    }

    #[test]
    fn of_two_tunnels_only_the_one_with_other_blocks_has_none_of_members() {
        let mut tunnels = two_tunnels(None);
        let roster = of_tunnel(&tunnels[0], &[filter("eng", &[])], &[(0, "eng")]);
        let of_eng = |tunnels: &[Tunnel]| roster.members(tunnels).held[0].addresses.spans(true);
        assert_eq!(of_eng(&tunnels), ["10.8.64.0-10.8.64.127", "10.8.192.0-10.8.192.127"]);
        tunnels[1].network = "10.9.0.0/24".parse().expect("a network");
        assert_eq!(of_eng(&tunnels), ["10.8.64.0-10.8.64.127"]);
        let strangers = roster.members(&tunnels).strangers.spans(true);
        assert_eq!(strangers, ["10.8.64.128-10.8.127.255", "10.9.0.128-10.9.0.255"]);
    }
}
