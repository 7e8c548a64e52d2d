//! Whether the machine forwards what clients send into the tunnel. Whether its firewall lets that through, and what becomes of the addresses,
//! cannot be told from here.

use std::path::Path;

use vpnmanager_nats::network::Network;
use vpnmanager_openvpn_conf::Directives;

use super::{
    finding::{Finding, warning},
    way_in::has_ipv6,
};
use crate::sysctls::{FORWARDS_IPV4, FORWARDS_IPV6, Sysctls, advertisements_of, name_of};

/// The value of a switch that is off.
const OFF: &str = "0";

/// What `sysctls` (`/proc/sys`) shows are the switches of the agent's own network namespace. One that cannot be read is not spoken of.
pub(super) fn check_forwarding(conf: &Directives, network: &Network, sysctls: &Path, findings: &mut Vec<Finding>) {
    let sysctls = Sysctls::new(sysctls.to_owned());
    let everything = network.redirect_gateway;
    let routes = |is_ipv4: bool| network.routes.iter().any(|route| route.is_ipv4() == is_ipv4);
    if (everything || routes(true)) && sysctls.is(FORWARDS_IPV4, OFF) {
        findings.push(warning(format!(
            "set `{} = 1` {FOR_GOOD}: the machine forwards no IPv4, and clients reach the node alone",
            name_of(FORWARDS_IPV4)
        )));
    }
    if ((everything && has_ipv6(conf)) || routes(false)) && sysctls.is(FORWARDS_IPV6, OFF) {
        findings.push(lack_of_ipv6(conf, &sysctls));
    }
}

/// How a switch is set.
const FOR_GOOD: &str = "with sysctl, and in /etc/sysctl.d for the next boot";

/// A machine that forwards IPv6 takes no router advertisements any more, and loses the default route that it has from them: so that comes
/// first.
fn lack_of_ipv6(conf: &Directives, sysctls: &Sysctls) -> Finding {
    let forwards = name_of(FORWARDS_IPV6);
    let advertised = sysctls.advertised().into_iter();
    let names = advertised.filter_map(|name| name.into_string().ok());
    // Clients are no routers.
    let others = names.filter(|name| !is_tunnel(conf, name));
    let switches: Vec<String> = others
        .map(|name| format!("`{} = 2`", name_of(advertisements_of(name))))
        .collect();
    if switches.is_empty() {
        return warning(format!(
            "set `{forwards} = 1` {FOR_GOOD}: the machine forwards no IPv6, and clients reach the node alone"
        ));
    }
    warning(format!(
        "set {}, and only then `{forwards} = 1`, {FOR_GOOD}: the machine forwards no IPv6, and clients reach the node alone. While `accept_ra` is 1 a \
         machine that forwards takes no router advertisements, and loses a default route that it has from them",
        switches.join(", ")
    ))
}

/// `dev tun0` is this device, and `dev tun` the next one that is free.
fn is_tunnel(conf: &Directives, name: &str) -> bool {
    match conf.argument("dev") {
        Some("tun") => name
            .strip_prefix("tun")
            .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())),
        dev => dev == Some(name),
    }
}
