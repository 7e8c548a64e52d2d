//! What the network of the pool asks of a server that the operator runs.
//!
//! A managed server has all of it by itself ([`Keeper`](crate::network::Keeper)). Here the agent changes nothing and says which lines are missing.
//! These are warnings: the server serves, and the operator may have ways that nobody sees here, such as routes that clients have of their own.

use vpnmanager_nats::network::{Network, Prefix};
use vpnmanager_openvpn_conf::Directives;

use super::{
    finding::{Finding, unpushed, warning},
    pushed_dns::check_dns,
    pushed_ways::{ALL_IPV4, GLOBAL_IPV6, PushedWays},
    way_in::{EXAMPLE6, has_ipv6, has_nopool, lines_beside_nopool},
};
use crate::openvpn::pushable::{BLOCKED_IPV6, REDIRECT_BOTH, REDIRECT_IPV4, route_to};

pub(super) fn check_network(conf: &Directives, network: &Network, findings: &mut Vec<Finding>) {
    let ways = PushedWays::of(conf);
    if network.redirect_gateway {
        findings.extend(lack_of_everything(conf, &ways));
    } else {
        check_routes(&ways, network, findings);
    }
    findings.extend(lack_of_ipv6(conf, network, &ways));
    check_dns(conf, network, findings);
    findings.extend(finding_of_clients(conf, network));
}

fn check_routes(ways: &PushedWays, network: &Network, findings: &mut Vec<Finding>) {
    for route in network.routes.iter().map(Prefix::net) {
        if ways.lead_to(&route) {
            continue;
        }
        let why = format!("the pool routes {route}, and clients do not send that into the tunnel");
        findings.push(unpushed(&route_to(&route), &why));
    }
}

/// Routes beside it add nothing. A second line of the option would be taken with a warning of each client, so the one that is there is changed.
fn lack_of_everything(conf: &Directives, ways: &PushedWays) -> Option<Finding> {
    let with_ipv6 = has_ipv6(conf);
    if ways.lead_to(&ALL_IPV4) && (!with_ipv6 || ways.lead_to(&GLOBAL_IPV6)) {
        return None;
    }
    let option = match with_ipv6 {
        true => REDIRECT_BOTH,
        false => REDIRECT_IPV4,
    };
    let why = "the pool has clients send everything into the tunnel, and these do not";
    Some(match conf.pushed("redirect-gateway").next() {
        Some(_) => warning(format!("set `push \"{option}\"`: {why}")),
        None => unpushed(option, why),
    })
}

/// That clients have no address of IPv6 in the tunnel, and are to send it there. Where everything goes into the tunnel, it is as good to have it
/// sent there and refused.
fn lack_of_ipv6(conf: &Directives, network: &Network, ways: &PushedWays) -> Option<Finding> {
    if has_ipv6(conf) {
        return None;
    }
    let with_addresses = with_addresses(conf);
    if network.routes.iter().any(|route| !route.is_ipv4()) {
        return Some(warning(format!(
            "{with_addresses}: the pool routes IPv6 prefixes, and clients have no IPv6 in the tunnel"
        )));
    }
    if !network.redirect_gateway || is_ipv6_refused(conf, ways) {
        return None;
    }
    let lines = BLOCKED_IPV6.map(|option| format!("`push \"{option}\"`")).join(", ");
    Some(warning(format!(
        "{with_addresses}, or have all of {lines}: the pool has clients send everything into the tunnel, and their own IPv6 goes beside it"
    )))
}

/// The lines that give clients addresses of IPv6.
fn with_addresses(conf: &Directives) -> String {
    let lines = match has_nopool(conf) {
        true => lines_beside_nopool(EXAMPLE6),
        false => format!("`server-ipv6 {EXAMPLE6}`"),
    };
    format!("add {lines} with a network of your own in its place")
}

/// Whether clients send their IPv6 into the tunnel, and it is refused there: with `block-ipv6` alone it goes beside the tunnel, and OpenVPN 3
/// sends none without an address (as [`BLOCKED_IPV6`] says). The server refuses as well as the client.
fn is_ipv6_refused(conf: &Directives, ways: &PushedWays) -> bool {
    let is_pushed = |name| conf.pushed(name).next().is_some();
    let is_blocked = conf.has("block-ipv6") || is_pushed("block-ipv6");
    is_blocked && is_pushed("ifconfig-ipv6") && ways.lead_to(&GLOBAL_IPV6)
}

fn finding_of_clients(conf: &Directives, network: &Network) -> Option<Finding> {
    match (network.client_to_client, conf.has("client-to-client")) {
        (false, true) => Some(warning(
            "remove `client-to-client`: users of the pool are not to reach each other, and with it they do so within OpenVPN, past every firewall",
        )),
        (true, false) => Some(warning(
            "add `client-to-client`: users of the pool are to reach each other, and without it the firewall of the machine decides about that",
        )),
        (true, true) | (false, false) => None,
    }
}
