//! Networks inside the tunnel.

use std::{fmt, net::Ipv4Addr, str::FromStr};

/// Not a network that OpenVPN can serve: its pool has 65,536 addresses at most.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no network such as 10.8.0.0/16 (prefix length 16 to 29, no bits beyond it)")]
pub struct InvalidVpnNetwork {
    /// What was given.
    text: String,
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

    /// The mask, `255.255.0.0` for `/16`.
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX << (32 - self.prefix))
    }

    /// Addresses for clients: all but the network's own, the broadcast address and the server's.
    pub fn client_addresses(self) -> u32 {
        (1 << (32 - self.prefix)) - 3
    }
}

impl FromStr for VpnNetwork {
    type Err = InvalidVpnNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidVpnNetwork> {
        let invalid = || InvalidVpnNetwork { text: text.to_owned() };
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let network = Self {
            address: address.parse().map_err(|_| invalid())?,
            prefix: prefix
                .parse()
                .ok()
                .filter(|prefix| (16..=29).contains(prefix))
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
        assert_eq!(network.client_addresses(), 253);
    }
}
