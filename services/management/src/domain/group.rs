//! What the rules of a group keep: they do not contradict themselves, and those of all groups fit into what a node is told.

use vpnmanager_nats::{
    groups::{GroupRules, Groups, PortRange, Reach, Transport},
    network::Prefix,
    payload::Payload,
    sync::SyncReply,
};

use super::pool::clashes;

/// The most bytes of all groups as a node is told them.
pub const MOST_BYTES: usize = 160 * 1024;

/// What else the answer to a handshake says has as much room as it had before there were groups.
const _: () = assert!(MOST_BYTES + 64 * 1024 <= <SyncReply as Payload>::MAX_BYTES);

/// A value of a group's rules that contradicts another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Contradiction {
    /// Its place, as requests name it: `reach.2.ports.0`.
    pub field: String,
    /// What is wrong with it, for people.
    pub reason: String,
}

/// Everything in the rules that contradicts something else in them: routes that overlap, an entry of `reach` that is there twice, ports that
/// overlap within an entry, and ports of what has none.
pub fn contradictions(rules: &GroupRules) -> Vec<Contradiction> {
    let reach = rules.reach.as_deref().unwrap_or_default();
    let overlapping = clashes(&rules.routes, Prefix::overlaps).map(|(entry, earlier)| Contradiction {
        field: format!("routes.{entry}"),
        reason: format!(
            "{} overlaps {}, which is there as well: leave one of them out",
            rules.routes[entry], rules.routes[earlier]
        ),
    });
    let twice = clashes(reach, |one, other| one == other).map(|(entry, earlier)| Contradiction {
        field: format!("reach.{entry}"),
        reason: format!("says the same as entry {earlier}: leave one of them out"),
    });
    let ports = reach.iter().enumerate();
    let ports = ports.flat_map(|(entry, reach)| of_ports(entry, reach));
    overlapping.chain(twice).chain(ports).collect()
}

/// What is wrong with the ports of one entry of `reach`.
fn of_ports(entry: usize, reach: &Reach) -> Vec<Contradiction> {
    let Reach { protocol, ports, .. } = reach;
    if !ports.is_empty() && !protocol.is_some_and(Transport::has_ports) {
        return vec![Contradiction {
            field: format!("reach.{entry}.ports"),
            reason: "need the protocol tcp or udp: name it, or leave them out".to_owned(),
        }];
    }
    let overlapping = clashes(ports, overlap).map(|(port, earlier)| Contradiction {
        field: format!("reach.{entry}.ports.{port}"),
        reason: format!(
            "{} overlaps {}, which is there as well: leave one of them out",
            ports[port], ports[earlier]
        ),
    });
    overlapping.collect()
}

/// Whether some port is in both.
fn overlap(one: &PortRange, other: &PortRange) -> bool {
    one.first() <= other.last() && other.first() <= one.last()
}

/// Whether a node can be told these groups.
pub fn fit(groups: &Groups) -> bool {
    serde_json::to_vec(groups).is_ok_and(|text| text.len() <= MOST_BYTES)
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::{
        groups::{Group, GroupName, MOST_GROUPS},
        ids::Revision,
    };

    use super::*;

    fn reach(to: &str, protocol: Option<Transport>, ports: &[&str]) -> Reach {
        Reach {
            to: Some(to.parse().expect("a prefix")),
            protocol,
            ports: ports.iter().map(|ports| ports.parse().expect("ports")).collect(),
        }
    }

    fn rules(reach: &[Reach], routes: &[&str]) -> GroupRules {
        GroupRules {
            reach: Some(reach.to_vec()),
            routes: routes.iter().map(|route| route.parse().expect("a prefix")).collect(),
            ..GroupRules::default()
        }
    }

    #[test]
    fn rules_without_contradictions_are_taken() {
        let tcp = Some(Transport::Tcp);
        for sound in [
            GroupRules::default(),
            rules(&[], &[]),
            rules(&[Reach::default()], &["10.0.0.0/16", "10.1.0.0/16", "fd00::/8"]),
            rules(
                &[
                    reach("10.0.0.0/8", tcp, &["80", "443", "8000-8100"]),
                    // Wider, and in part the same.
                    reach("10.0.0.0/16", tcp, &["443"]),
                    reach("10.0.0.0/8", Some(Transport::Udp), &["443"]),
                    reach("10.0.0.0/8", Some(Transport::Icmp), &[]),
                ],
                &[],
            ),
        ] {
            let found = contradictions(&sound);
            assert!(found.is_empty(), "{sound:?}: {found:?}");
        }
    }

    #[test]
    fn each_value_that_contradicts_another_one_is_named_with_its_place() {
        let (tcp, udp) = (Some(Transport::Tcp), Some(Transport::Udp));
        let found = contradictions(&rules(
            &[
                reach("10.0.0.0/8", tcp, &["443", "400-500", "80"]),
                reach("10.0.0.0/8", None, &["443"]),
                reach("10.0.0.0/8", Some(Transport::Icmp), &["7"]),
                reach("10.0.0.0/8", udp, &["53"]),
                reach("10.0.0.0/8", udp, &["53"]),
            ],
            &["10.0.0.0/8", "10.1.0.0/16"],
        ));
        let fields: Vec<&str> = found.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "routes.1",
                "reach.4",
                "reach.0.ports.1",
                "reach.1.ports",
                "reach.2.ports"
            ]
        );
        assert_eq!(
            found[0].reason,
            "10.1.0.0/16 overlaps 10.0.0.0/8, which is there as well: leave one of them out"
        );
        assert_eq!(found[1].reason, "says the same as entry 3: leave one of them out");
        assert_eq!(
            found[2].reason,
            "400-500 overlaps 443, which is there as well: leave one of them out"
        );
        assert_eq!(
            found[3].reason,
            "need the protocol tcp or udp: name it, or leave them out"
        );
    }

    #[test]
    fn as_many_groups_as_there_may_be_fit_with_rules_of_a_usual_size_and_not_with_the_longest() {
        let fleet = |reach: &Reach, entries: usize| {
            let group = |number: usize| Group {
                name: format!("group-{number}").parse::<GroupName>().expect("a name"),
                rules: rules(&vec![reach.clone(); entries], &["10.20.0.0/16"]),
                metered: true,
            };
            Groups {
                revision: Revision(1),
                groups: (0..MOST_GROUPS).map(group).collect(),
            }
        };
        let usual = reach("10.20.30.0/24", Some(Transport::Tcp), &["80", "443"]);
        assert!(fit(&fleet(&usual, GroupRules::MOST_REACH)));
        let ports: Vec<String> = (0..Reach::MOST_PORTS)
            .map(|number| format!("{}-{}", 10_000 + 100 * number, 10_050 + 100 * number))
            .collect();
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        let longest = reach(
            "2001:db8:1111:2222:3333:4444:5555:6666/128",
            Some(Transport::Tcp),
            &ports,
        );
        assert!(!fit(&fleet(&longest, GroupRules::MOST_REACH)));
    }
}
