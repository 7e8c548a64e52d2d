//! The names of other machines that a node needs.

use vpnmanager_runtime::doctor::host_names::{Named, host_and_port};

use crate::{config::Config, enrolled::Enrolled};

/// Each with the setting that it is in. Those of the bus came with the enrolment.
pub(super) fn of(config: &Config, enrolled: Option<&Enrolled>) -> Vec<Named> {
    let management = config
        .management_url
        .as_deref()
        .map(|url| ("MANAGEMENT_URL", host_of(url)));
    let own = config
        .public_host
        .as_ref()
        .map(|host| ("PUBLIC_HOST", host.as_str().to_owned()));
    let bus = enrolled.into_iter().flat_map(|enrolled| &enrolled.identity.bus_urls);
    let bus = bus.map(|url| ("BUS_PUBLIC_URLS of management", host_of(url)));
    let all = management.into_iter().chain(own).chain(bus);
    all.filter(|(_, host)| !host.is_empty())
        .map(|(setting, host)| Named { setting, host })
        .collect()
}

/// The host of a URL, with or without a port.
fn host_of(url: &str) -> String {
    if let Some((host, _)) = host_and_port(url) {
        return host;
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_with_and_without_a_port() {
        for (url, host) in [
            ("https://management.example.org", "management.example.org"),
            ("http://management.example.org:8080/vpn/", "management.example.org"),
            ("http://[2001:db8::1]/", "2001:db8::1"),
            ("tls://[2001:db8::1]:4222", "2001:db8::1"),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }
}
