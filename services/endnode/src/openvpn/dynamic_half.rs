//! Whether the addresses that OpenVPN gives out as clients come are nearly used up. Pure.

use std::net::Ipv4Addr;

use crate::{backend::Session, groups::Layout};

/// Whether so many of them are nearly all.
pub(super) fn is_nearly_all(used: u32, layout: Layout) -> bool {
    u64::from(used) * 10 >= u64::from(layout.dynamic()) * 9
}

/// That these clients have nearly all of them, and what to do.
pub(super) fn scarcity(sessions: &[Session], layout: Layout) -> Option<String> {
    let is_dynamic = |session: &&Session| {
        let address = session.virtual_address.parse::<Ipv4Addr>();
        address.is_ok_and(|address| !layout.is_fixed(address))
    };
    let used = u32::try_from(sessions.iter().filter(is_dynamic).count()).unwrap_or(u32::MAX);
    is_nearly_all(used, layout).then(|| {
        format!(
            "{used} of the {} addresses that OPENVPN_NETWORK ({}) has for users of the group default are used, and who finds none reaches \
             nothing: give this node a larger one (/16 at most), or have fewer such users on it",
            layout.dynamic(),
            layout.network()
        )
    })
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
        assert_eq!(scarcity(&sessions(&others), layout), None);
        let scarcity = scarcity(&sessions(&["10.8.0.2", "10.8.0.3"]), layout).expect("nearly all");
        assert!(
            scarcity.starts_with(
                "2 of the 2 addresses that OPENVPN_NETWORK (10.8.0.0/29) has for users of the group default are used"
            ),
            "{scarcity}"
        );
    }
}
