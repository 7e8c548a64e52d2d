//! Networks that are written as an address and a mask, such as that of a server's clients.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::directives::Directives;

/// That of `server network netmask`; `None` also where these are none.
pub fn server_network(conf: &Directives) -> Option<Ipv4Net> {
    let [address, mask, ..] = conf.arguments("server") else {
        return None;
    };
    masked_network(address, mask)
}

/// The network of an address and a mask, whatever host the address is of; `None`: they are none.
pub fn masked_network(address: &str, mask: &str) -> Option<Ipv4Net> {
    let (address, mask): (Ipv4Addr, Ipv4Addr) = (address.parse().ok()?, mask.parse().ok()?);
    Some(Ipv4Net::with_netmask(address, mask).ok()?.trunc())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_network_is_an_address_with_a_mask() {
        for (text, expected) in [
            ("server 10.8.0.0 255.255.255.0", Some("10.8.0.0/24")),
            ("server 10.8.0.1 255.255.255.0 nopool", Some("10.8.0.0/24")),
            ("server 10.8.0.0", None),
            ("server 10.8.0.0 255.0.255.0", None),
            ("server vpn.example.com 255.255.255.0", None),
            ("server-ipv6 fd00::/64", None),
        ] {
            let conf = Directives::load(Path::new("/etc/openvpn/server.conf"), &|_| Ok(text.as_bytes().to_vec()));
            let network = server_network(&conf).map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{text}");
        }
    }
}
