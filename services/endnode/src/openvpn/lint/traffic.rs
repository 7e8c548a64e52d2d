//! Whether traffic flows once a client is in: both sides must frame a packet alike, and profiles say nothing of framing.
//!
//! The manual of OpenVPN says of each of these options that both sides need it, or that it changes the packets: "Compression" and
//! "--fragment", "--tun-mtu" of its openvpn(8).

use super::{
    directives::Directives,
    finding::{Finding, error, warning},
    words::words,
};

pub(super) fn check_traffic(conf: &Directives, findings: &mut Vec<Finding>) {
    check_compression(conf, findings);
    if let Some(size) = conf.argument("fragment").filter(|size| *size != "0") {
        findings.push(error(format!(
            "remove `fragment {size}`: both sides need it, profiles have none, and no traffic flows (`mssfix` needs one side alone)"
        )));
    }
    let mtu = conf.argument("tun-mtu").unwrap_or(DEFAULT_MTU);
    if mtu != DEFAULT_MTU && pushed(conf, "tun-mtu").next().is_none() {
        findings.push(warning(format!(
            "remove `tun-mtu {mtu}`, or add `push \"tun-mtu {mtu}\"`: clients before OpenVPN 2.6 keep {DEFAULT_MTU}, and large packets are lost"
        )));
    }
}

/// Without `tun-mtu`.
const DEFAULT_MTU: &str = "1500";

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
        .flat_map(|name| pushed(conf, name))
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

/// What is pushed of an option, in words.
fn pushed<'a>(conf: &'a Directives, name: &'a str) -> impl Iterator<Item = Vec<String>> {
    let lines = conf.each("push").filter_map(|line| words(line.first()?).ok());
    lines.filter(move |words| words.first().is_some_and(|word| word == name))
}
