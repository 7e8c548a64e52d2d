//! Networks inside the tunnel.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// The shortest prefix of an IPv4 network: OpenVPN gives out 65,536 addresses at most.
pub const SHORTEST_PREFIX: u32 = 16;
/// The longest prefix of an IPv4 network: it has addresses for 5 clients.
pub const LONGEST_PREFIX: u32 = 29;
/// The longest prefix of an IPv6 network.
pub const LONGEST_PREFIX6: u32 = 112;

/// Not a network that OpenVPN can serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVpnNetwork {
    /// Its pool has 65,536 addresses at most.
    #[error("{text:?} is no network such as 10.8.0.0/16 (prefix length 16 to 29, no bits beyond it)")]
    V4 {
        /// What was given.
        text: String,
    },
    /// `--server-ipv6` of its manual takes these lengths.
    #[error(
        "{text:?} is no network such as fd12:3456:789a::/64 (prefix length 64 to 112, no bits beyond it, addresses that are unique \
         local or global)"
    )]
    V6 {
        /// What was given.
        text: String,
    },
}

/// The network inside the tunnel, written `10.8.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VpnNetwork {
    address: Ipv4Addr,
    prefix: u32,
}

impl VpnNetwork {
    /// The first address.
    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    /// The length of its prefix, 16 to 29.
    pub fn prefix_length(self) -> u32 {
        self.prefix
    }

    /// The first of the networks that it is divided into by a prefix that is so many bits longer; `None` where OpenVPN could not serve that.
    pub fn narrowed(self, bits: u32) -> Option<Self> {
        let prefix = self.prefix.checked_add(bits)?;
        (prefix <= LONGEST_PREFIX).then_some(Self { prefix, ..self })
    }

    /// The mask, `255.255.0.0` for `/16`.
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX << (32 - self.prefix))
    }

    /// The last address, which is the one for broadcasts.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.mask().to_bits())
    }

    /// Whether an address is in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask().to_bits() == self.address.to_bits()
    }

    /// The network of the same size that lies so many of them behind; 0 is itself. Behind the last one of all addresses comes the first.
    pub fn beside(self, number: usize) -> Self {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let size = 1_u32 << (32 - self.prefix);
        let address = self.address.to_bits().wrapping_add(number.wrapping_mul(size));
        Self {
            address: Ipv4Addr::from_bits(address),
            ..self
        }
    }

    /// Addresses for clients: all but the network's own, the broadcast address and the server's.
    pub fn client_addresses(self) -> u32 {
        (1 << (32 - self.prefix)) - 3
    }
}

impl FromStr for VpnNetwork {
    type Err = InvalidVpnNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidVpnNetwork> {
        let invalid = || InvalidVpnNetwork::V4 { text: text.to_owned() };
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let network = Self {
            address: address.parse().map_err(|_| invalid())?,
            prefix: prefix
                .parse()
                .ok()
                .filter(|prefix| (SHORTEST_PREFIX..=LONGEST_PREFIX).contains(prefix))
                .ok_or_else(invalid)?,
        };
        // `/016` and `/+16` are numbers too.
        if network.to_string() != text || network.address.to_bits() & !network.mask().to_bits() != 0 {
            return Err(invalid());
        }
        Ok(network)
    }
}

impl fmt::Display for VpnNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The IPv6 network inside the tunnel, written `fd12:3456:789a::/64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VpnNetwork6 {
    address: Ipv6Addr,
    prefix: u32,
}

impl VpnNetwork6 {
    /// The first address.
    pub fn address(self) -> Ipv6Addr {
        self.address
    }

    /// The length of its prefix, 64 to 112.
    pub fn prefix_length(self) -> u32 {
        self.prefix
    }

    /// The first of the networks that it is divided into by a prefix that is so many bits longer; `None` where OpenVPN could not serve that.
    pub fn narrowed(self, bits: u32) -> Option<Self> {
        let prefix = self.prefix.checked_add(bits)?;
        (prefix <= LONGEST_PREFIX6).then_some(Self { prefix, ..self })
    }

    /// The address with this number: the first one has 0, and each network has all of them.
    pub fn at(self, number: u16) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.address.to_bits() | u128::from(number))
    }

    /// The last address.
    pub fn last(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.address.to_bits() | !self.mask())
    }

    /// Whether an address is in it.
    pub fn contains(self, address: Ipv6Addr) -> bool {
        address.to_bits() & self.mask() == self.address.to_bits()
    }

    /// The network of the same size that lies so many of them behind; 0 is itself. Behind the last one of all addresses comes the first.
    pub fn beside(self, number: usize) -> Self {
        let number = u128::try_from(number).unwrap_or(u128::MAX);
        let size = 1_u128 << (128 - self.prefix);
        let address = self.address.to_bits().wrapping_add(number.wrapping_mul(size));
        Self {
            address: Ipv6Addr::from_bits(address),
            ..self
        }
    }

    fn mask(self) -> u128 {
        u128::MAX << (128 - self.prefix)
    }
}

impl FromStr for VpnNetwork6 {
    type Err = InvalidVpnNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidVpnNetwork> {
        let invalid = || InvalidVpnNetwork::V6 { text: text.to_owned() };
        let (address, length) = text.split_once('/').ok_or_else(invalid)?;
        let network = Self {
            address: address.parse().map_err(|_| invalid())?,
            prefix: length
                .parse()
                .ok()
                .filter(|prefix| (64..=LONGEST_PREFIX6).contains(prefix))
                .ok_or_else(invalid)?,
        };
        // `/064` and `/+64` are numbers too.
        let is_plain = network.prefix.to_string() == length;
        let has_more_bits = network.address.to_bits() & !network.mask() != 0;
        match is_plain && !has_more_bits && is_routed(network.address) {
            true => Ok(network),
            false => Err(invalid()),
        }
    }
}

impl TryFrom<String> for VpnNetwork6 {
    type Error = InvalidVpnNetwork;

    fn try_from(text: String) -> Result<Self, InvalidVpnNetwork> {
        text.parse()
    }
}

impl From<VpnNetwork6> for String {
    fn from(network: VpnNetwork6) -> Self {
        network.to_string()
    }
}

impl fmt::Display for VpnNetwork6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Whether an address is unique local (RFC 4193: fc00::/7) or global (RFC 4291, section 2.4: 2000::/3 is what is assigned of it).
fn is_routed(address: Ipv6Addr) -> bool {
    let [first, ..] = address.segments();
    first & 0xfe00 == 0xfc00 || first & 0xe000 == 0x2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_checked_and_counted() {
        for bad in [
            "10.8.0.0",
            "10.8.0.1/16",
            "10.0.0.0/8",
            "10.8.0.0/15",
            "10.8.0.0/30",
            "10.8.0.0/x",
            "::/64",
            "10.8.0.0/16\n",
            "10.8.0.0/+16",
            "10.8.0.0/016",
        ] {
            assert!(bad.parse::<VpnNetwork>().is_err(), "{bad:?} was accepted");
        }
        let network: VpnNetwork = "10.8.4.0/24".parse().expect("a valid network");
        assert_eq!(network.mask(), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(network.last(), Ipv4Addr::new(10, 8, 4, 255));
        assert_eq!(network.client_addresses(), 253);
        let contains = |address: [u8; 4]| network.contains(address.into());
        assert!(contains([10, 8, 4, 0]) && contains([10, 8, 4, 255]) && !contains([10, 8, 5, 0]));
    }

    #[test]
    fn ipv6_networks_are_checked() {
        for bad in [
            "fd00:8::",
            "fd00:8::1/64",
            "fd00:8::/63",
            "fd00:8::/113",
            "fd00:8::/+64",
            "fd00:8::/064",
            "fd00:8::/64\n",
            "fe80::/64",
            "ff05::/64",
            "::/64",
            "::ffff:10.8.0.0/112",
            "10.8.0.0/16",
        ] {
            assert!(bad.parse::<VpnNetwork6>().is_err(), "{bad:?} was accepted");
        }
        for (text, printed) in [
            ("fd00:8::/64", "fd00:8::/64"),
            ("FD00:8:0:0::/64", "fd00:8::/64"),
            ("2001:db8:1:2:3::/112", "2001:db8:1:2:3::/112"),
        ] {
            let network: VpnNetwork6 = text.parse().expect(text);
            assert_eq!(network.to_string(), printed);
            assert!(network.contains(network.address()), "{text}");
        }
        let network: VpnNetwork6 = "fd00:8::/64".parse().expect("a network");
        let contains = |address: &str| network.contains(address.parse().expect("an address"));
        assert!(contains("fd00:8::ffff:1") && !contains("fd00:8:0:1::"));
        assert_eq!(
            (network.prefix_length(), network.last().to_string()),
            (64, "fd00:8::ffff:ffff:ffff:ffff".to_owned())
        );
        let narrow: VpnNetwork6 = "fd00:8::7:0/112".parse().expect("a network");
        assert_eq!(narrow.at(0x1000).to_string(), "fd00:8::7:1000");
        assert_eq!(narrow.at(u16::MAX), narrow.last());
    }

    #[test]
    fn networks_lie_one_behind_the_other() {
        let network: VpnNetwork = "10.8.64.0/18".parse().expect("a network");
        let beside = [0, 1, 3].map(|number| network.beside(number).to_string());
        assert_eq!(beside, ["10.8.64.0/18", "10.8.128.0/18", "10.9.0.0/18"]);
        let network: VpnNetwork6 = "fd00:8::/66".parse().expect("a network");
        let beside = [0, 1, 3].map(|number| network.beside(number).to_string());
        assert_eq!(beside, ["fd00:8::/66", "fd00:8:0:0:4000::/66", "fd00:8:0:0:c000::/66"]);
        let last: VpnNetwork = "255.255.0.0/16".parse().expect("a network");
        assert_eq!(last.beside(1).to_string(), "0.0.0.0/16");
    }
}
