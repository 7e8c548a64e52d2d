//! The network of a pool: what its users reach through the tunnel. Management decides it for each pool; each node of the pool applies it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
    str::FromStr,
};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    ids::{InvalidId, NodeId, Revision},
    text::{text_id, word_enum},
};

/// The network that a node should apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolNetwork {
    /// The pool, which has the form of a node's id.
    pub pool: NodeId,
    /// Counts the changes of the pool.
    pub revision: Revision,
    /// The network; `None`: the node leaves routes, NAT and firewall of its machine alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// The network that a node has applied, as it says in heartbeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedNetwork {
    /// The pool.
    pub pool: NodeId,
    /// The revision of the pool.
    pub revision: Revision,
}

/// What the users of a pool reach through the tunnel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "sea-orm", derive(sea_orm::FromJsonQueryResult))]
pub struct Network {
    /// What clients send into the tunnel, and may reach there.
    #[serde(default, deserialize_with = "at_most::<_, { Network::MOST_ROUTES }, _>")]
    pub routes: Vec<Prefix>,
    /// Whether clients send everything into the tunnel (`redirect-gateway`), and may reach everything.
    #[serde(default)]
    pub redirect_gateway: bool,
    /// The DNS servers of clients, while they are connected.
    #[serde(default, deserialize_with = "at_most::<_, { Network::MOST_DNS }, _>")]
    pub dns_servers: Vec<DnsServer>,
    /// The domains that clients complete names with.
    #[serde(default, deserialize_with = "at_most::<_, { Network::MOST_DNS }, _>")]
    pub search_domains: Vec<DomainName>,
    /// What machines behind the node see as the source of clients' packets.
    #[serde(default)]
    pub nat: Nat,
    /// Whether clients reach each other.
    #[serde(default)]
    pub client_to_client: bool,
    /// The largest TCP segment of connections through the tunnel, in bytes without headers; `None`: OpenVPN's own bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_segment: Option<MaxSegment>,
}

impl Network {
    /// The most routes: each costs a client a line of OpenVPN's push, and the node an element of its firewall.
    pub const MOST_ROUTES: usize = 64;
    /// The most DNS servers, and the most search domains: resolvers use few.
    pub const MOST_DNS: usize = 6;
}

fn at_most<'de, T: Deserialize<'de>, const MOST: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let items = Vec::deserialize(deserializer)?;
    match items.len() <= MOST {
        true => Ok(items),
        false => Err(D::Error::custom(format_args!(
            "at most {MOST} entries, not {}",
            items.len()
        ))),
    }
}

/// What machines behind a node see as the source of clients' packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nat {
    /// The node's address.
    #[default]
    Masquerade,
    /// The client's address in the tunnel: the network behind the node routes it back to the node.
    None,
}

word_enum!(Nat, "a kind of NAT", "masquerade or none", Masquerade => "masquerade", None => "none");

/// A network prefix, `10.20.0.0/16` or `2001:db8::/32`: no bits beyond its length, at least one bit long, and of addresses that can be
/// routed. Everything (`0.0.0.0/0`) is [`Network::redirect_gateway`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(IpNet);

impl Prefix {
    /// The prefix as addresses.
    pub fn net(&self) -> IpNet {
        self.0
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.contains(&other.0) || other.0.contains(&self.0)
    }

    /// Whether it is of IPv4.
    pub fn is_ipv4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrefix {
    /// No address with a length.
    #[error("{0:?} is no prefix such as 10.20.0.0/16 or 2001:db8::/32")]
    Malformed(String),
    /// Bits beyond the length.
    #[error("{given} has bits beyond its length: {meant} is the prefix that it is in")]
    HostBits {
        /// As given.
        given: IpNet,
        /// Without these bits.
        meant: IpNet,
    },
    /// Length 0.
    #[error("{0} is everything: set redirect_gateway in its place")]
    Everything(IpNet),
    /// An IPv4 address written as an IPv6 one (RFC 4291, section 2.5.5.2).
    #[error("{0} is IPv4 written as IPv6: write it as IPv4")]
    Mapped(IpNet),
    /// Loopback, link-local, multicast or unspecified addresses.
    #[error("{given} has {kind} addresses, which nobody routes")]
    Unroutable {
        /// As given.
        given: IpNet,
        /// Of what kind.
        kind: &'static str,
    },
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let net: IpNet = text
            .parse()
            .map_err(|_| InvalidPrefix::Malformed(text.chars().take(64).collect()))?;
        if net.trunc() != net {
            return Err(InvalidPrefix::HostBits {
                given: net,
                meant: net.trunc(),
            });
        }
        if net.prefix_len() == 0 {
            return Err(InvalidPrefix::Everything(net));
        }
        if let IpNet::V6(v6) = net
            && v6.prefix_len() >= 96
            && v6.network().to_ipv4_mapped().is_some()
        {
            return Err(InvalidPrefix::Mapped(net));
        }
        match unroutable(net.network()) {
            Some(kind) => Err(InvalidPrefix::Unroutable { given: net, kind }),
            None => Ok(Self(net)),
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = InvalidPrefix;

    fn try_from(text: String) -> Result<Self, InvalidPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Of what kind an address is that is not routed (IANA's special-purpose address registries, RFC 6890).
fn unroutable(address: IpAddr) -> Option<&'static str> {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let is_this_network = match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    if address.is_loopback() {
        Some("loopback")
    } else if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("multicast or broadcast")
    } else if is_link_local {
        Some("link-local")
    } else {
        is_this_network.then_some("unspecified")
    }
}

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

impl TryFrom<String> for DnsServer {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<DnsServer> for String {
    fn from(server: DnsServer) -> Self {
        server.to_string()
    }
}

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
        let host: crate::commands::Host = text
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

/// The largest TCP segment, 536 to 8960 bytes (RFC 9293, section 3.7.1: 536 is what everybody takes over IPv4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct MaxSegment(NonZeroU16);

impl MaxSegment {
    /// The smallest.
    pub const LEAST: u16 = 536;
    /// The largest.
    pub const MOST: u16 = 8960;

    /// In bytes.
    pub fn bytes(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<u16> for MaxSegment {
    type Error = InvalidId;

    fn try_from(bytes: u16) -> Result<Self, InvalidId> {
        NonZeroU16::new(bytes)
            .filter(|_| (Self::LEAST..=Self::MOST).contains(&bytes))
            .map(Self)
            .ok_or_else(|| InvalidId::new("a largest segment", "536 to 8960 bytes"))
    }
}

impl From<MaxSegment> for u16 {
    fn from(segment: MaxSegment) -> Self {
        segment.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Prefix>().expect_err(text).to_string()
    }

    #[test]
    fn a_prefix_is_refused_for_what_is_wrong_with_it() {
        for malformed in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/24",
            "10.0.0.0/8 ",
            "::/129",
            "x/8",
            "10.0.0.0/-1",
        ] {
            assert!(refused(malformed).contains("is no prefix such as"), "{malformed:?}");
        }
        assert_eq!(
            refused("10.20.0.1/16"),
            "10.20.0.1/16 has bits beyond its length: 10.20.0.0/16 is the prefix that it is in"
        );
        assert!(refused("2001:db8::1/32").contains("2001:db8::/32 is the prefix"));
        assert!(refused("0.0.0.0/0").contains("set redirect_gateway"));
        assert!(refused("::/0").contains("set redirect_gateway"));
        assert!(refused("::ffff:10.0.0.0/104").contains("write it as IPv4"));
        for (unroutable, kind) in [
            ("127.0.0.0/8", "loopback"),
            ("::1/128", "loopback"),
            ("169.254.0.0/16", "link-local"),
            ("fe80::/10", "link-local"),
            ("224.0.0.0/4", "multicast"),
            ("ff00::/8", "multicast"),
            ("0.0.0.0/8", "unspecified"),
        ] {
            assert!(refused(unroutable).contains(kind), "{unroutable}");
        }
        for good in ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "fd00::/8", "128.0.0.0/1"] {
            assert_eq!(good.parse::<Prefix>().expect(good).to_string(), good);
        }
    }

    #[test]
    fn prefixes_overlap_when_one_is_in_the_other() {
        let prefix = |text: &str| text.parse::<Prefix>().expect(text);
        assert!(prefix("10.0.0.0/8").overlaps(&prefix("10.1.0.0/16")));
        assert!(prefix("10.1.0.0/16").overlaps(&prefix("10.0.0.0/8")));
        assert!(!prefix("10.0.0.0/16").overlaps(&prefix("10.1.0.0/16")));
        assert!(!prefix("10.0.0.0/8").overlaps(&prefix("fd00::/8")));
        assert!(prefix("fd00::/8").contains(IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))));
    }

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

    #[test]
    fn a_network_with_too_many_routes_is_refused_and_an_empty_one_is_one() {
        let empty: Network = serde_json::from_str("{}").expect("an empty network");
        assert_eq!(empty, Network::default());
        let routes: Vec<String> = (0..=Network::MOST_ROUTES).map(|n| format!("10.{n}.0.0/16")).collect();
        let text = serde_json::json!({ "routes": routes }).to_string();
        let refused = serde_json::from_str::<Network>(&text).expect_err("65 routes");
        assert!(refused.to_string().contains("at most 64 entries, not 65"), "{refused}");
        assert!(MaxSegment::try_from(535).is_err() && MaxSegment::try_from(8961).is_err());
        assert_eq!(MaxSegment::try_from(1360).map(MaxSegment::bytes), Ok(1360));
    }
}
