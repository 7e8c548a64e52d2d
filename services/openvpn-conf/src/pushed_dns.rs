//! What clients ask for names: what the server pushes to them of `dhcp-option` and `dns` (openvpn(8)).

use std::net::{IpAddr, SocketAddr};

use crate::directives::Directives;

/// The DNS servers that are pushed: `dhcp-option DNS address`, and `dns server n address address ...`, which clients take from OpenVPN 2.6 on.
pub fn dns_servers(conf: &Directives) -> Vec<IpAddr> {
    let single = values(conf, &["DNS", "DNS6"]);
    let single = single.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let listed = conf.pushed("dns").flat_map(|words| listed_servers(&words));
    single.chain(listed).collect()
}

fn listed_servers(words: &[String]) -> Vec<IpAddr> {
    match words {
        [_, server, _, address, listed @ ..] if server == "server" && address == "address" => {
            listed.iter().filter_map(|text| address_in(text)).collect()
        }
        _ => Vec::new(),
    }
}

/// An address, which may have a port: `10.20.0.53:53`, `[fd20::53]:53`.
fn address_in(text: &str) -> Option<IpAddr> {
    match text.parse::<SocketAddr>() {
        Ok(place) => Some(place.ip()),
        Err(_) => text.trim_start_matches('[').trim_end_matches(']').parse().ok(),
    }
}

/// The search domains that are pushed: `dhcp-option DOMAIN-SEARCH domain` and the like, and `dns search-domains domain ...`.
pub fn dns_domains(conf: &Directives) -> Vec<String> {
    let single = values(conf, &["DOMAIN", "DOMAIN-SEARCH", "ADAPTER_DOMAIN_SUFFIX"]);
    let listed = conf.pushed("dns").flat_map(|words| listed_domains(&words));
    single.into_iter().chain(listed).collect()
}

fn listed_domains(words: &[String]) -> Vec<String> {
    match words {
        [_, kind, listed @ ..] if kind == "search-domains" => listed.to_vec(),
        _ => Vec::new(),
    }
}

/// What is pushed of these kinds of `dhcp-option`.
fn values(conf: &Directives, kinds: &[&str]) -> Vec<String> {
    let options = conf.pushed("dhcp-option");
    let values = options.filter_map(|words| match words.as_slice() {
        [_, kind, value, ..] if kinds.contains(&kind.as_str()) => Some(value.clone()),
        _ => None,
    });
    values.collect()
}
