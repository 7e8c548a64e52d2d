//! Where clients send packets of theirs: what the server pushes to them of `route`, `route-ipv6` and `redirect-gateway` ("VPN Network Options" of
//! openvpn(8)).

use ipnet::IpNet;

use crate::{directives::Directives, server_network::masked_network};

/// In place of a mask: that of a single address. As without one.
const DEFAULT: &str = "default";
const SINGLE: &str = "255.255.255.255";
/// In place of a gateway: the one that the client has without the tunnel.
const PAST_THE_TUNNEL: &str = "net_gateway";

/// The routes that are pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushedRoutes {
    /// Networks that clients send into the tunnel. One that is named in place of its address is left out: each client looks it up by itself.
    pub networks: Vec<IpNet>,
    /// Whether they send everything there.
    pub redirected: Redirected,
}

/// Whether clients send everything into the tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redirected {
    /// All of IPv4.
    pub ipv4: bool,
    /// All of IPv6.
    pub ipv6: bool,
}

impl PushedRoutes {
    /// Those of a server.
    pub fn of(conf: &Directives) -> Self {
        let ipv4 = conf.pushed("route").filter_map(|words| route(&words));
        let ipv6 = conf.pushed("route-ipv6").filter_map(|words| route_ipv6(&words));
        Self {
            networks: ipv4.chain(ipv6).collect(),
            redirected: redirected(conf),
        }
    }
}

/// `route network [netmask [gateway [metric]]]`. A name in place of the network is `None`.
fn route(words: &[String]) -> Option<IpNet> {
    let mut words = words.iter().skip(1).map(String::as_str);
    let (network, mask, gateway) = (words.next()?, words.next(), words.next());
    if gateway == Some(PAST_THE_TUNNEL) {
        return None;
    }
    let mask = mask.filter(|mask| *mask != DEFAULT).unwrap_or(SINGLE);
    masked_network(network, mask).map(IpNet::V4)
}

/// `route-ipv6 network/bits [gateway [metric]]`.
fn route_ipv6(words: &[String]) -> Option<IpNet> {
    let net: IpNet = words.get(1)?.parse().ok()?;
    Some(net.trunc())
}

/// `redirect-gateway [flags]`: all of IPv4, unless the last one has `!ipv4`, and all of IPv6 if one has `ipv6`.
fn redirected(conf: &Directives) -> Redirected {
    let mut all = Redirected::default();
    for words in conf.pushed("redirect-gateway") {
        let has = |flag: &str| words.iter().any(|word| word == flag);
        all.ipv4 = !has("!ipv4");
        all.ipv6 |= has("ipv6");
    }
    all
}
