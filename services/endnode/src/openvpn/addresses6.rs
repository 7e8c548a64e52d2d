//! The addresses of IPv6 in the tunnel, as OpenVPN has them beside `nopool` of `server`: it does not take `server-ipv6` there
//! (`helper_client_server` of its helper.c).

use super::vpn_network::VpnNetwork6;

/// The number of the first IPv6 address that OpenVPN gives out by itself, as with its `server-ipv6`.
const FIRST_DYNAMIC: u16 = 0x1000;

/// What `server-ipv6` with this network stands for.
pub(super) fn lines(network: VpnNetwork6) -> [String; 2] {
    let bits = network.prefix_length();
    [
        format!("ifconfig-ipv6 {}/{bits} {}", network.at(1), network.at(2)),
        format!("ifconfig-ipv6-pool {}/{bits}", network.at(FIRST_DYNAMIC)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_has_the_first_address_and_clients_those_behind() {
        let network = "fd12:3456:789a::/64".parse().expect("a network");
        assert_eq!(
            lines(network),
            [
                "ifconfig-ipv6 fd12:3456:789a::1/64 fd12:3456:789a::2",
                "ifconfig-ipv6-pool fd12:3456:789a::1000/64"
            ]
        );
    }
}
