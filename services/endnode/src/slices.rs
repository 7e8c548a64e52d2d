//! How the addresses of `OPENVPN_NETWORK` are divided among the listeners of a node. Pure.

use crate::{
    groups::Layout,
    openvpn::vpn_network::{LONGEST_PREFIX, LONGEST_PREFIX6, VpnNetwork, VpnNetwork6},
};

/// The network has no slice for each listener.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSlices {
    /// The one of `OPENVPN_NETWORK`.
    #[error(
        "{network} is too small for {listeners} listeners: each has a slice of its own, a /{} at least, so the prefix must be {most} or \
         shorter",
        LONGEST_PREFIX
    )]
    V4 {
        /// The network.
        network: VpnNetwork,
        /// How many listeners there are.
        listeners: usize,
        /// The longest prefix that would do.
        most: u32,
    },
    /// The one of `OPENVPN_NETWORK6`.
    #[error(
        "{network} is too small for {listeners} listeners: each has a slice of its own, a /{} at least, so the prefix must be {most} or \
         shorter",
        LONGEST_PREFIX6
    )]
    V6 {
        /// The network.
        network: VpnNetwork6,
        /// How many listeners there are.
        listeners: usize,
        /// The longest prefix that would do.
        most: u32,
    },
}

/// The slice of the first of so many listeners. Those of the others lie behind it ([`Layout::beside`]), and all are of one size: with three
/// listeners a quarter each.
///
/// # Errors
/// [`NoSlices`] where a slice would be too small for OpenVPN.
pub fn first_slice(network: VpnNetwork, network6: Option<VpnNetwork6>, listeners: usize) -> Result<Layout, NoSlices> {
    let bits = listeners.next_power_of_two().trailing_zeros();
    let slice = network.narrowed(bits).ok_or(NoSlices::V4 {
        network,
        listeners,
        most: LONGEST_PREFIX.saturating_sub(bits),
    })?;
    let narrowed6 = |network: VpnNetwork6| {
        network.narrowed(bits).ok_or(NoSlices::V6 {
            network,
            listeners,
            most: LONGEST_PREFIX6.saturating_sub(bits),
        })
    };
    Ok(Layout::new(slice, network6.map(narrowed6).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listening::ListenerNumber;

    fn slice(network: &str, network6: Option<&str>, listeners: usize) -> Result<(String, Option<String>), NoSlices> {
        let network6 = network6.map(|network| network.parse().expect("a network"));
        let layout = first_slice(network.parse().expect("a network"), network6, listeners)?;
        Ok((layout.network().to_string(), layout.network6().map(String::from)))
    }

    #[test]
    fn each_listener_has_the_same_power_of_two_of_the_network() {
        for (listeners, expected, expected6) in [
            (1, "10.8.0.0/16", "fd00:8::/64"),
            (2, "10.8.0.0/17", "fd00:8::/65"),
            (3, "10.8.0.0/18", "fd00:8::/66"),
            (4, "10.8.0.0/18", "fd00:8::/66"),
        ] {
            let expected = Ok((expected.to_owned(), Some(expected6.to_owned())));
            assert_eq!(slice("10.8.0.0/16", Some("fd00:8::/64"), listeners), expected);
        }
        assert_eq!(slice("10.8.0.8/29", None, 1), Ok(("10.8.0.8/29".to_owned(), None)));
    }

    #[test]
    fn the_slices_of_all_listeners_are_the_whole_network() {
        let layout = first_slice(
            "10.8.0.0/27".parse().expect("a network"),
            "fd00:8::/110".parse().ok(),
            4,
        )
        .expect("room");
        let slices = (0..4).map(|number| {
            let slice = layout.beside(ListenerNumber(number));
            let network6 = slice.network6().expect("IPv6");
            format!("{} {network6}", slice.network())
        });
        assert_eq!(
            slices.collect::<Vec<_>>(),
            [
                "10.8.0.0/29 fd00:8::/112",
                "10.8.0.8/29 fd00:8::1:0/112",
                "10.8.0.16/29 fd00:8::2:0/112",
                "10.8.0.24/29 fd00:8::3:0/112"
            ]
        );
    }

    #[test]
    fn a_network_without_room_for_all_is_named_with_what_would_do() {
        for (network, network6, listeners, expected) in [
            ("10.8.0.0/29", None, 2, "10.8.0.0/29 is too small for 2 listeners: "),
            ("10.8.0.0/28", None, 3, "the prefix must be 27 or shorter"),
            (
                "10.8.0.0/16",
                Some("fd00:8::/112"),
                2,
                "fd00:8::/112 is too small for 2 listeners: ",
            ),
            (
                "10.8.0.0/16",
                Some("fd00:8::/111"),
                4,
                "the prefix must be 110 or shorter",
            ),
        ] {
            let error = slice(network, network6, listeners).expect_err(network).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
