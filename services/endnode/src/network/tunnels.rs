//! What the tunnels of a node are together. Pure.
//!
//! A node that has several listeners gives each a slice of its networks. An OpenVPN that runs with an older configuration may have any network.

use std::{iter, net::IpAddr};

use ipnet::IpNet;

use crate::openvpn::tunnel::Tunnel;

/// The smallest IPv4 network that holds those of all these tunnels; `None` where they are not the slices of one.
pub(super) fn whole4(tunnels: &[Tunnel]) -> Option<IpNet> {
    let networks = tunnels.iter().map(|tunnel| tunnel.network);
    whole(networks.map(|network| (IpAddr::from(network.address()), network.prefix_length())))
}

/// The same of the IPv6 networks of those that have one.
pub(super) fn whole6(tunnels: &[Tunnel]) -> Option<IpNet> {
    let networks = tunnels.iter().filter_map(|tunnel| tunnel.network6);
    whole(networks.map(|network| (IpAddr::from(network.address()), network.prefix_length())))
}

/// The same of these networks of one family, each with the length of its prefix. Slices are of one size and their number is a power of two: with
/// three there is a quarter for each.
fn whole(networks: impl Iterator<Item = (IpAddr, u32)>) -> Option<IpNet> {
    let nets = networks.map(|(address, length)| IpNet::new(address, u8::try_from(length).ok()?).ok());
    let nets = nets.collect::<Option<Vec<IpNet>>>()?;
    let widest = nets.iter().min_by_key(|net| net.prefix_len())?;
    let bits = nets.len().next_power_of_two().trailing_zeros();
    let may_be_divided = |whole: &IpNet| u32::from(whole.prefix_len()) + bits >= u32::from(widest.prefix_len());
    let mut wholes = iter::successors(Some(*widest), IpNet::supernet).take_while(may_be_divided);
    wholes.find(|whole| nets.iter().all(|net| whole.contains(net)))
}

/// Whether clients have IPv6 in all of them.
pub(super) fn all_have_ipv6(tunnels: &[Tunnel]) -> bool {
    tunnels.iter().all(|tunnel| tunnel.network6.is_some())
}

/// Whether clients have IPv6 in one of them.
pub(super) fn one_has_ipv6(tunnels: &[Tunnel]) -> bool {
    tunnels.iter().any(|tunnel| tunnel.network6.is_some())
}

/// Two that have an address in common: one of an older configuration, and one whose OpenVPN was started with other networks.
pub(super) fn overlapping(tunnels: &[Tunnel]) -> Option<(&Tunnel, &Tunnel)> {
    let mut pairs = tunnels.iter().enumerate().flat_map(|(number, one)| {
        let behind = tunnels.iter().skip(number + 1);
        behind.map(move |other| (one, other))
    });
    pairs.find(|(one, other)| overlap(one, other))
}

fn overlap(one: &Tunnel, other: &Tunnel) -> bool {
    let share4 = one.network.contains(other.network.address()) || other.network.contains(one.network.address());
    let both6 = one.network6.zip(other.network6);
    share4 || both6.is_some_and(|(one, other)| one.contains(other.address()) || other.contains(one.address()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixtures::{HALVES6, tunnel, two_tunnels};

    fn with(networks: &[(&str, Option<&str>)]) -> Vec<Tunnel> {
        let tunnels = networks.iter().map(|(network, network6)| Tunnel {
            network: network.parse().expect("a network"),
            ..tunnel(*network6)
        });
        tunnels.collect()
    }

    fn wholes(tunnels: &[Tunnel]) -> (Option<String>, Option<String>) {
        (
            whole4(tunnels).map(|net| net.to_string()),
            whole6(tunnels).map(|net| net.to_string()),
        )
    }

    #[test]
    fn slices_are_of_the_network_that_was_divided() {
        let (v4, v6) = (Some("10.8.0.0/16".to_owned()), Some("fd00:8::/64".to_owned()));
        assert_eq!(wholes(&[tunnel(Some("fd00:8::/64"))]), (v4.clone(), v6.clone()));
        assert_eq!(wholes(&two_tunnels(Some(HALVES6))), (v4.clone(), v6.clone()));
        assert_eq!(wholes(&two_tunnels(None)), (v4.clone(), None));
        let quarters = [
            ("10.8.0.0/18", Some("fd00:8::/66")),
            ("10.8.64.0/18", Some("fd00:8:0:0:4000::/66")),
            ("10.8.128.0/18", Some("fd00:8:0:0:8000::/66")),
            ("10.8.192.0/18", Some("fd00:8:0:0:c000::/66")),
        ];
        for (listeners, number) in [("three", 3), ("four", 4)] {
            assert_eq!(
                wholes(&with(&quarters[..number])),
                (v4.clone(), v6.clone()),
                "{listeners}"
            );
        }
        let small = [("10.8.4.0/29", None), ("10.8.4.8/29", None)];
        assert_eq!(wholes(&with(&small)), (Some("10.8.4.0/28".to_owned()), None));
    }

    #[test]
    fn networks_that_lie_apart_are_no_slices() {
        let apart = [
            ("10.8.0.0/17", Some("fd00:8::/65")),
            ("10.9.128.0/17", Some("fd00:9::/65")),
        ];
        assert_eq!(wholes(&with(&apart)), (None, None));
        // The end of one network of four slices, and the beginning of the next.
        assert_eq!(wholes(&with(&[("10.8.192.0/18", None), ("10.9.0.0/18", None)])).0, None);
        assert_eq!(wholes(&[]), (None, None));
    }

    #[test]
    fn an_address_in_two_tunnels_is_found_in_either_family() {
        let found = |networks: &[(&str, Option<&str>)]| overlapping(&with(networks)).is_some();
        assert_eq!(overlapping(&two_tunnels(Some(HALVES6))), None);
        assert!(!found(&[("10.8.0.0/17", None)]));
        assert!(found(&[("10.8.0.0/17", None), ("10.8.64.0/18", None)]));
        assert!(found(&[("10.8.64.0/18", None), ("10.8.0.0/17", None)]));
        assert!(found(&[
            ("10.8.0.0/18", None),
            ("10.8.128.0/18", None),
            ("10.8.128.0/17", None)
        ]));
        assert!(found(&[
            ("10.8.0.0/17", Some("fd00:8::/64")),
            ("10.8.128.0/17", Some("fd00:8:0:0:8000::/65")),
        ]));
        assert!(!found(&[("10.8.0.0/17", Some("fd00:8::/64")), ("10.8.128.0/17", None)]));
    }
}
