//! Whether traffic flows once a client is in: both sides must frame a packet alike, and profiles say nothing of framing.
//!
//! The manual of OpenVPN says of each of these options that both sides need it, or that it changes the packets: "Compression" and
//! "--fragment", "--tun-mtu" of its openvpn(8).

use vpnmanager_nats::network::{Mtu, Network};
use vpnmanager_openvpn_conf::Directives;

use super::finding::{Finding, error, warning};

pub(super) fn check_traffic(conf: &Directives, network: Option<&Network>, findings: &mut Vec<Finding>) {
    check_compression(conf, findings);
    if let Some(size) = conf.argument("fragment").filter(|size| *size != "0") {
        findings.push(error(format!(
            "remove `fragment {size}`: both sides need it, profiles have none, and no traffic flows (`mssfix` needs one side alone)"
        )));
    }
    findings.extend(finding_of_mtu(conf, network.and_then(|network| network.mtu)));
}

/// Clients have the MTU of the pool from their profiles, where it says one. A server without the option takes packets of up to
/// [`Mtu::USUAL`], which is as good.
fn finding_of_mtu(conf: &Directives, of_pool: Option<Mtu>) -> Option<Finding> {
    let said = conf.argument("tun-mtu")?;
    let usual = Mtu::USUAL;
    match of_pool {
        Some(mtu) if said == mtu.to_string() => None,
        Some(mtu) => Some(warning(format!(
            "set `tun-mtu {mtu}`: the pool has this `mtu`, and clients have it from their profiles"
        ))),
        None if said == usual.to_string() || conf.pushed("tun-mtu").next().is_some() => None,
        None => Some(warning(format!(
            "remove `tun-mtu {said}`, or add `push \"tun-mtu {said}\"`: clients before OpenVPN 2.6 keep {usual}, and large packets are lost"
        ))),
    }
}

/// What compresses nothing, and only changes the form of a packet: a client does it when it is told.
const STUBS: [&[&str]; 4] = [
    &["comp-lzo", "no"],
    &["compress"],
    &["compress", "stub"],
    &["compress", "stub-v2"],
];

/// Clients from OpenVPN 2.6 on refuse a push of real compression (`--allow-compression`).
fn check_compression(conf: &Directives, findings: &mut Vec<Finding>) {
    let is_stub = |words: &[String]| STUBS.iter().any(|stub| words == *stub);
    let told: Vec<Vec<String>> = ["comp-lzo", "compress"]
        .iter()
        .flat_map(|name| conf.pushed(name))
        .collect();
    for words in told.iter().filter(|words| !is_stub(words)) {
        findings.push(error(format!(
            "remove `push \"{}\"`: clients refuse it, and do not get in",
            words.join(" ")
        )));
    }
    for name in ["comp-lzo", "compress"] {
        let Some(line) = conf.line(name).filter(|line| *line != ["compress", "migrate"]) else {
            continue;
        };
        let shown = line.join(" ");
        // To compress nothing is said in the same words, or in those that mean the same.
        if is_stub(line) && told.iter().any(|told| is_stub(told)) {
            findings.push(warning(format!(
                "remove `{shown}` and its `push`: nothing is compressed, and the kernel's data channel cannot be used"
            )));
        } else {
            findings.push(error(format!(
                "remove `{shown}`: profiles have no compression, so packets do not fit and no traffic flows"
            )));
        }
    }
    if told.iter().any(|told| is_stub(told)) && !conf.has("comp-lzo") && !conf.has("compress") {
        findings.push(error(
            "remove the `push` of `comp-lzo` or `compress`: this server has none, so packets do not fit and no traffic flows",
        ));
    }
}
