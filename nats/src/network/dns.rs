//! What clients ask for names.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::prefix::unroutable;
use crate::{
    commands::Host,
    ids::InvalidId,
    text::{as_text, text_id},
};

/// The address of a DNS server that clients can ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsServer(IpAddr);

impl DnsServer {
    /// The address.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl FromStr for DnsServer {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let expected = "an address that clients can reach, not loopback, link-local or multicast";
        let invalid = || InvalidId::new("a DNS server", expected);
        let address: IpAddr = text.parse().map_err(|_| invalid())?;
        let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        match is_mapped || unroutable(address).is_some() {
            true => Err(invalid()),
            false => Ok(Self(address)),
        }
    }
}

as_text!(DnsServer);

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A DNS domain (RFC 1123, section 2.1): fit for a configuration line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(String);

impl FromStr for DomainName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let host: Host = text
            .parse()
            .map_err(|_| InvalidId::new("a search domain", "a DNS name"))?;
        let is_address = text.parse::<IpAddr>().is_ok();
        match is_address {
            true => Err(InvalidId::new("a search domain", "a DNS name, not an address")),
            false => Ok(Self(host.as_str().to_ascii_lowercase())),
        }
    }
}

text_id!(DomainName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_server_can_be_reached_and_a_domain_is_a_name() {
        for bad in [
            "127.0.0.53",
            "::1",
            "0.0.0.0",
            "fe80::1",
            "::ffff:10.0.0.1",
            "dns.example",
            "10.0.0.1/32",
        ] {
            assert!(bad.parse::<DnsServer>().is_err(), "{bad:?} was accepted");
        }
        for bad in ["", "10.0.0.1", "a b", "a\npush x", "a..b", "-a", "a\"b"] {
            assert!(bad.parse::<DomainName>().is_err(), "{bad:?} was accepted");
        }
        let domain: DomainName = "Corp.Example".parse().expect("a domain");
        assert_eq!(domain, "corp.example");
    }
}
