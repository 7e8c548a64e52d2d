//! Limits of speed: what comes from each address, or goes to it, beyond a rate is dropped.

use std::fmt::{self, Write as _};

use vpnmanager_nats::groups::{GroupRules, Speed};

use super::family::{FAMILIES, Family};
use crate::{network::tunnels::one_has_ipv6, openvpn::tunnel::Tunnel};

/// The room for addresses in a set: more than all tunnels have together.
const MOST_ADDRESSES: u32 = 65_535;

/// The least that may come at once beyond the rate, in bytes: ten full packets, which is what a connection begins with (RFC 6928).
const LEAST_BURST: u32 = 15_000;

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From members.
    Up,
    /// To members.
    Down,
}

/// The speed of each address of a group, in one direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// The number of the group.
    group: usize,
    direction: Direction,
    speed: Speed,
}

impl Limit {
    /// That of a group, if it has one in this direction.
    pub(super) fn of(group: usize, rules: &GroupRules, direction: Direction) -> Option<Self> {
        let speed = match direction {
            Direction::Up => rules.up,
            Direction::Down => rules.down,
        };
        speed.map(|speed| Self {
            group,
            direction,
            speed,
        })
    }

    /// The sets of addresses that packets fill. An address goes when nothing was heard of it for a while.
    pub(super) fn write_sets(self, out: &mut String, tunnels: &[Tunnel]) -> fmt::Result {
        families(tunnels).try_for_each(|family| {
            writeln!(out, "\tset {} {{", self.set(family))?;
            writeln!(out, "\t\ttype {}", family.kind)?;
            writeln!(out, "\t\tsize {MOST_ADDRESSES}")?;
            writeln!(out, "\t\tflags dynamic,timeout")?;
            writeln!(out, "\t\ttimeout 1m")?;
            writeln!(out, "\t}}")
        })
    }

    /// The rules that drop. The kernel lets a second's worth come at once besides the burst (`nft_limit_init` of its nft_limit.c).
    pub(super) fn rules(self, tunnels: &[Tunnel]) -> Vec<String> {
        // 1000 bits in a kilobit, 8 in a byte.
        let rate = self.speed.kilobits().saturating_mul(125);
        let burst = (rate / 8).max(LEAST_BURST);
        let side = match self.direction {
            Direction::Up => "saddr",
            Direction::Down => "daddr",
        };
        let rule = |family: &Family| {
            format!(
                "update @{} {{ {} {side} limit rate over {rate} bytes/second burst {burst} bytes }} drop",
                self.set(family),
                family.word
            )
        };
        families(tunnels).map(rule).collect()
    }

    fn set(self, family: &Family) -> String {
        let way = match self.direction {
            Direction::Up => "up",
            Direction::Down => "down",
        };
        format!("g{}_{way}{}", self.group, family.digit)
    }
}

/// The families that clients have addresses of.
fn families(tunnels: &[Tunnel]) -> impl Iterator<Item = &'static Family> + use<> {
    let with_ipv6 = one_has_ipv6(tunnels);
    FAMILIES.iter().filter(move |family| family.is_ipv4 || with_ipv6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixtures::tunnel;

    fn rules(kilobits: u32) -> String {
        let rules = GroupRules {
            up: Some(Speed::try_from(kilobits).expect("a speed")),
            ..GroupRules::default()
        };
        assert!(Limit::of(3, &rules, Direction::Down).is_none());
        let limit = Limit::of(3, &rules, Direction::Up).expect("a limit");
        limit.rules(&[tunnel(None)]).join("\n")
    }

    #[test]
    fn a_kilobit_is_125_bytes_and_an_eighth_of_a_second_may_come_at_once() {
        for (kilobits, rate, burst) in [
            (64, "8000", "15000"),
            (1_000, "125000", "15625"),
            (10_000, "1250000", "156250"),
            (10_000_000, "1250000000", "156250000"),
        ] {
            let expected =
                format!("update @g3_up4 {{ ip saddr limit rate over {rate} bytes/second burst {burst} bytes }} drop");
            assert_eq!(rules(kilobits), expected);
        }
    }
}
