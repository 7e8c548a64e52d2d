//! Network prefixes, and addresses that nobody routes.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::text::as_text;

/// A network prefix, `10.20.0.0/16` or `2001:db8::/32`: no bits beyond its length, at least one bit long, and of addresses that can be
/// routed. Everything (`0.0.0.0/0`) is `redirect_gateway` of a network.
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
    /// A large part of all addresses, from the first one on.
    #[error(
        "{0} begins with addresses that nobody routes: for all traffic set redirect_gateway of a pool, and take other prefixes otherwise"
    )]
    FromTheFirst(IpNet),
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
        if net.prefix_len() < 8 && net.network().is_unspecified() {
            return Err(InvalidPrefix::FromTheFirst(net));
        }
        match unroutable(net.network()) {
            Some(kind) => Err(InvalidPrefix::Unroutable { given: net, kind }),
            None => Ok(Self(net)),
        }
    }
}

as_text!(Prefix);

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Of what kind an address is that is not routed (IANA's special-purpose address registries, RFC 6890).
pub(super) fn unroutable(address: IpAddr) -> Option<&'static str> {
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
            ("0.0.0.0/1", "set redirect_gateway of a pool"),
            ("::/1", "set redirect_gateway of a pool"),
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
}
