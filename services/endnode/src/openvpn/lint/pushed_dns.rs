//! What clients ask for names, against what the pool has them ask.

use vpnmanager_nats::network::Network;
use vpnmanager_openvpn_conf::{Directives, dns_domains, dns_servers};

use super::finding::{Finding, unpushed};

pub(super) fn check_dns(conf: &Directives, network: &Network, findings: &mut Vec<Finding>) {
    let servers = dns_servers(conf);
    for server in &network.dns_servers {
        if !servers.contains(&server.address()) {
            findings.push(unpushed(
                &format!("dhcp-option DNS {server}"),
                "the pool has this DNS server, and clients do not ask it",
            ));
        }
    }
    let domains = dns_domains(conf);
    for domain in &network.search_domains {
        // Names are the same with a dot at their end.
        let is_it = |told: &String| told.trim_end_matches('.').eq_ignore_ascii_case(domain.as_str());
        if !domains.iter().any(is_it) {
            findings.push(unpushed(
                &format!("dhcp-option DOMAIN-SEARCH {domain}"),
                "the pool has this search domain, and clients do not complete names with it",
            ));
        }
    }
}
