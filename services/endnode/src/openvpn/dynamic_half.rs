//! Whether the addresses that OpenVPN gives out as clients come are nearly used up. Pure.

use std::net::Ipv4Addr;

use super::vpn_network::SHORTEST_PREFIX;
use crate::{backend::Session, groups::Layout};

/// Whether so many of them are nearly all.
pub(super) fn is_nearly_all(used: u32, layout: Layout) -> bool {
    u64::from(used) * 10 >= u64::from(layout.dynamic()) * 9
}

/// That these clients of one of so many listeners have nearly all of them, and what to do.
pub(super) fn scarcity(sessions: &[Session], layout: Layout, listeners: usize) -> Option<String> {
    let is_dynamic = |session: &&Session| {
        let address = session.virtual_address.parse::<Ipv4Addr>();
        address.is_ok_and(|address| !layout.is_fixed(address))
    };
    let used = u32::try_from(sessions.iter().filter(is_dynamic).count()).unwrap_or(u32::MAX);
    is_nearly_all(used, layout).then(|| {
        format!(
            "{used} of the {} addresses that {} has for users of the group default are used, and who finds none reaches nothing: {}, or have \
             fewer such users on it",
            layout.dynamic(),
            owner(layout, listeners),
            advice(layout, listeners)
        )
    })
}

/// What has them.
fn owner(layout: Layout, listeners: usize) -> String {
    let network = layout.network();
    match listeners {
        0 | 1 => format!("OPENVPN_NETWORK ({network})"),
        several => format!("this one of {several} listeners in its part of OPENVPN_NETWORK ({network})"),
    }
}

/// How there would be more.
fn advice(layout: Layout, listeners: usize) -> &'static str {
    let bits = listeners.next_power_of_two().trailing_zeros();
    let is_largest = layout.network().prefix_length() <= SHORTEST_PREFIX + bits;
    match (listeners, is_largest) {
        (0 | 1, _) => "give this node a larger one (/16 at most)",
        (_, true) => "give this node fewer listeners",
        (_, false) => "give this node a larger OPENVPN_NETWORK (/16 at most) or fewer listeners",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(addresses: &[&str]) -> Vec<Session> {
        let sessions = addresses.iter().map(|address| Session {
            virtual_address: (*address).to_owned(),
            ..Session::default()
        });
        sessions.collect()
    }

    #[test]
    fn nine_tenths_of_the_lower_half_are_nearly_all_of_it() {
        for (network, most, nearly_all) in [
            ("10.8.0.0/29", 1, 2),
            ("10.8.0.0/24", 113, 114),
            ("10.8.0.0/16", 29_489, 29_490),
        ] {
            let layout = Layout::new(network.parse().expect("a network"), None);
            assert!(!is_nearly_all(most, layout), "{network}");
            assert!(is_nearly_all(nearly_all, layout), "{network}");
        }
    }

    #[test]
    fn members_with_fixed_addresses_and_clients_without_any_use_none_up() {
        let layout = Layout::new("10.8.0.0/29".parse().expect("a network"), None);
        let others = ["10.8.0.2", "10.8.0.4", "10.8.0.5", ""];
        assert_eq!(scarcity(&sessions(&others), layout, 1), None);
        let scarcity = scarcity(&sessions(&["10.8.0.2", "10.8.0.3"]), layout, 1).expect("nearly all");
        assert!(
            scarcity.starts_with(
                "2 of the 2 addresses that OPENVPN_NETWORK (10.8.0.0/29) has for users of the group default are used"
            ),
            "{scarcity}"
        );
    }
    #[test]
    fn with_several_listeners_the_part_of_one_is_named_and_what_can_be_done() {
        for (network, listeners, owner, advice) in [
            (
                "10.8.0.0/29",
                1,
                "OPENVPN_NETWORK (10.8.0.0/29)",
                "give this node a larger one (/16 at most)",
            ),
            (
                "10.8.0.8/29",
                2,
                "this one of 2 listeners in its part of OPENVPN_NETWORK (10.8.0.8/29)",
                "give this node a larger OPENVPN_NETWORK (/16 at most) or fewer listeners",
            ),
            (
                "10.8.64.0/18",
                3,
                "this one of 3 listeners in its part of OPENVPN_NETWORK (10.8.64.0/18)",
                "give this node fewer listeners",
            ),
        ] {
            let layout = Layout::new(network.parse().expect("a network"), None);
            let addresses = (0..layout.dynamic()).map(|number| {
                let first = u32::from(layout.first_dynamic());
                Ipv4Addr::from(first + number).to_string()
            });
            let addresses: Vec<String> = addresses.collect();
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let (dynamic, sessions) = (layout.dynamic(), sessions(&addresses));
            assert_eq!(
                scarcity(&sessions, layout, listeners),
                Some(format!(
                    "{dynamic} of the {dynamic} addresses that {owner} has for users of the group default are used, and who finds none \
                     reaches nothing: {advice}, or have fewer such users on it"
                ))
            );
        }
    }
}
