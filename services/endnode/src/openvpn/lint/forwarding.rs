//! Whether the machine forwards what clients send into the tunnel (ip-sysctl of the kernel's documentation). Whether its firewall lets that through,
//! and what becomes of the addresses, cannot be told from here.

use std::{fs, path::Path};

use vpnmanager_nats::network::Network;

use super::{
    directives::Directives,
    finding::{Finding, warning},
    way_in::has_ipv6,
};

const IPV4: &str = "net.ipv4.ip_forward";
const IPV6: &str = "net.ipv6.conf.all.forwarding";
const INTERFACES: &str = "net/ipv6/conf";
/// Of `accept_ra`: router advertisements are taken unless the machine forwards.
const UNLESS_IT_FORWARDS: &str = "1";

/// What `sysctls` (`/proc/sys`) shows are the switches of the agent's own network namespace. One that cannot be read is not spoken of.
pub(super) fn check_forwarding(conf: &Directives, network: &Network, sysctls: &Path, findings: &mut Vec<Finding>) {
    let everything = network.redirect_gateway;
    let routes = |is_ipv4: bool| network.routes.iter().any(|route| route.is_ipv4() == is_ipv4);
    if (everything || routes(true)) && is_off(IPV4, sysctls) {
        findings.push(warning(format!(
            "set `{IPV4} = 1` {FOR_GOOD}: the machine forwards no IPv4, and clients reach the node alone"
        )));
    }
    if ((everything && has_ipv6(conf)) || routes(false)) && is_off(IPV6, sysctls) {
        findings.push(lack_of_ipv6(conf, sysctls));
    }
}

/// How a switch is set.
const FOR_GOOD: &str = "with sysctl, and in /etc/sysctl.d for the next boot";

/// A machine that forwards IPv6 takes no router advertisements any more, and loses the default route that it has from them: so that comes
/// first.
fn lack_of_ipv6(conf: &Directives, sysctls: &Path) -> Finding {
    let advertised = advertised(conf, sysctls);
    if advertised.is_empty() {
        return warning(format!(
            "set `{IPV6} = 1` {FOR_GOOD}: the machine forwards no IPv6, and clients reach the node alone"
        ));
    }
    // A name may have dots, which sysctl takes for slashes.
    let switch = |name: &String| format!("`net.ipv6.conf.{}.accept_ra = 2`", name.replace('.', "/"));
    let switches: Vec<String> = advertised.iter().map(switch).collect();
    warning(format!(
        "set {}, and only then `{IPV6} = 1`, {FOR_GOOD}: the machine forwards no IPv6, and clients reach the node alone. While `accept_ra` is 1 a \
         machine that forwards takes no router advertisements, and loses a default route that it has from them",
        switches.join(", ")
    ))
}

/// The interfaces that take router advertisements unless the machine forwards, in the order of their names. Clients are no routers: the tunnel
/// device is none of them.
fn advertised(conf: &Directives, sysctls: &Path) -> Vec<String> {
    let interfaces = fs::read_dir(sysctls.join(INTERFACES)).into_iter().flatten().flatten();
    let names = interfaces.filter_map(|interface| interface.file_name().into_string().ok());
    let is_other = |name: &String| !matches!(name.as_str(), "all" | "default" | "lo") && !is_tunnel(conf, name);
    let takes = |name: &String| {
        let switch = sysctls.join(INTERFACES).join(name).join("accept_ra");
        fs::read_to_string(switch).is_ok_and(|value| value.trim() == UNLESS_IT_FORWARDS)
    };
    let mut names: Vec<String> = names.filter(is_other).filter(takes).collect();
    names.sort();
    names
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

fn is_off(switch: &str, sysctls: &Path) -> bool {
    let switch = sysctls.join(switch.replace('.', "/"));
    fs::read_to_string(switch).is_ok_and(|value| value.trim() == "0")
}
