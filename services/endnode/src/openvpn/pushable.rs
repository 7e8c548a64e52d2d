//! Options that clients are told of, in the words of OpenVPN ("VPN Network Options" of openvpn(8)): the agent pushes them, and looks for them in
//! the configuration of an operator.

use ipnet::IpNet;

/// Everything of both families goes into the tunnel.
pub(crate) const REDIRECT_BOTH: &str = "redirect-gateway def1 ipv6";
/// Everything of IPv4 does.
pub(crate) const REDIRECT_IPV4: &str = "redirect-gateway def1";

/// Everything goes into a tunnel that has no IPv6. A client that has IPv6 of its own would use it beside the tunnel: `block-ipv6` answers
/// only what is sent into the tunnel, so its IPv6 is sent there (`--block-ipv6` of OpenVPN's manual). OpenVPN 3 sends it there only if
/// it has an address. All clients have the same one, because nothing of it leaves them: a unique local one of a random prefix (RFC 4193).
pub(crate) const BLOCKED_IPV6: [&str; 3] = [
    REDIRECT_BOTH,
    "ifconfig-ipv6 fd5c:7a3e:91d4::2/64 fd5c:7a3e:91d4::1",
    "block-ipv6",
];

/// That these addresses are behind the tunnel.
pub(crate) fn route_to(net: &IpNet) -> String {
    match net {
        IpNet::V4(net) => format!("route {} {}", net.network(), net.netmask()),
        IpNet::V6(net) => format!("route-ipv6 {net}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_a_mask_in_ipv4_and_a_length_in_ipv6() {
        for (net, expected) in [
            ("10.20.0.0/16", "route 10.20.0.0 255.255.0.0"),
            ("192.0.2.7/32", "route 192.0.2.7 255.255.255.255"),
            ("fd20::/48", "route-ipv6 fd20::/48"),
        ] {
            assert_eq!(route_to(&net.parse().expect("a network")), expected);
        }
    }
}
