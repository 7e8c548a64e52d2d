//! Where clients send packets of theirs: what the server pushes to them of `route`, `route-ipv6` and `redirect-gateway` ("VPN Network Options" of
//! openvpn(8)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::directives::Directives;

/// All addresses of IPv4.
pub(super) const ALL_IPV4: IpNet = IpNet::new_assert(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// All addresses of IPv6 that are given out on the Internet (RFC 4291, section 2.4, and the registry of IANA).
pub(super) const GLOBAL_IPV6: IpNet = IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0)), 3);
/// All addresses of IPv6.
const ALL_IPV6: IpNet = IpNet::new_assert(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
/// In place of a mask: that of a single address. As without one.
const DEFAULT: &str = "default";
/// In place of a gateway: the one that the client has without the tunnel.
const PAST_THE_TUNNEL: &str = "net_gateway";

/// What clients send into the tunnel. Prefixes that lie side by side are one.
pub(super) struct PushedWays(Vec<IpNet>);

impl PushedWays {
    pub(super) fn of(conf: &Directives) -> Self {
        let ipv4 = conf.pushed("route").filter_map(|words| route(&words));
        let ipv6 = conf.pushed("route-ipv6").filter_map(|words| route_ipv6(&words));
        let ways: Vec<IpNet> = ipv4.chain(ipv6).chain(redirected(conf)).collect();
        Self(IpNet::aggregate(&ways))
    }

    /// Whether clients send there all that is for these addresses.
    pub(super) fn lead_to(&self, addresses: &IpNet) -> bool {
        self.0.iter().any(|way| way.contains(addresses))
    }
}

/// `route network [netmask [gateway [metric]]]`. A name in place of the network is `None`: each client looks it up by itself.
fn route(words: &[String]) -> Option<IpNet> {
    let mut words = words.iter().skip(1).map(String::as_str);
    let (network, mask, gateway) = (words.next()?, words.next(), words.next());
    if gateway == Some(PAST_THE_TUNNEL) {
        return None;
    }
    let mask = match mask.filter(|mask| *mask != DEFAULT) {
        Some(mask) => mask.parse::<Ipv4Addr>().ok()?,
        None => Ipv4Addr::BROADCAST,
    };
    let net = Ipv4Net::with_netmask(network.parse::<Ipv4Addr>().ok()?, mask).ok()?;
    Some(IpNet::V4(net.trunc()))
}

/// `route-ipv6 network/bits [gateway [metric]]`.
fn route_ipv6(words: &[String]) -> Option<IpNet> {
    let net: IpNet = words.get(1)?.parse().ok()?;
    Some(net.trunc())
}

/// `redirect-gateway [flags]`: all of IPv4, unless the last one has `!ipv4`, and all of IPv6 if one has `ipv6`.
fn redirected(conf: &Directives) -> Vec<IpNet> {
    let (mut ipv4, mut ipv6) = (None, None);
    for words in conf.pushed("redirect-gateway") {
        let has = |flag: &str| words.iter().any(|word| word == flag);
        ipv4 = (!has("!ipv4")).then_some(ALL_IPV4);
        ipv6 = ipv6.or(has("ipv6").then_some(ALL_IPV6));
    }
    ipv4.into_iter().chain(ipv6).collect()
}
