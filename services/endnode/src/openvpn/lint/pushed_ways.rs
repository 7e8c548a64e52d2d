//! Where clients send packets of theirs, as one set of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use vpnmanager_openvpn_conf::{Directives, PushedRoutes};

/// All addresses of IPv4.
pub(super) const ALL_IPV4: IpNet = IpNet::new_assert(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// All addresses of IPv6 that are given out on the Internet (RFC 4291, section 2.4, and the registry of IANA).
pub(super) const GLOBAL_IPV6: IpNet = IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0)), 3);
/// All addresses of IPv6.
const ALL_IPV6: IpNet = IpNet::new_assert(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

/// What clients send into the tunnel. Prefixes that lie side by side are one.
pub(super) struct PushedWays(Vec<IpNet>);

impl PushedWays {
    pub(super) fn of(conf: &Directives) -> Self {
        let PushedRoutes {
            networks: mut ways,
            redirected,
        } = PushedRoutes::of(conf);
        ways.extend(redirected.ipv4.then_some(ALL_IPV4));
        ways.extend(redirected.ipv6.then_some(ALL_IPV6));
        Self(IpNet::aggregate(&ways))
    }

    /// Whether clients send there all that is for these addresses.
    pub(super) fn lead_to(&self, addresses: &IpNet) -> bool {
        self.0.iter().any(|way| way.contains(addresses))
    }
}
