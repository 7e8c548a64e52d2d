//! How large packets in a tunnel are.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::InvalidId;

/// The headers of TCP over IPv4 without options, in bytes (RFC 9293, section 3.7.1).
const HEADERS: u16 = 40;

/// The largest packet in the tunnel, with its IP header: 1280 to 1500 bytes. IPv6 needs 1280 (RFC 8200, section 5), and 1500 is what OpenVPN
/// takes without being told (`--tun-mtu` of its openvpn(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Mtu(u16);

impl Mtu {
    /// The smallest, in bytes.
    pub const LEAST: u16 = 1280;
    /// The largest, in bytes.
    pub const MOST: u16 = 1500;
    /// Where nothing is said.
    pub const USUAL: Self = Self(Self::MOST);

    /// In bytes.
    pub fn bytes(self) -> u16 {
        self.0
    }

    /// The largest TCP segment that fits into such a packet of IPv4, in bytes.
    pub fn most_segment(self) -> u16 {
        self.0.saturating_sub(HEADERS)
    }
}

impl Default for Mtu {
    fn default() -> Self {
        Self::USUAL
    }
}

impl TryFrom<u16> for Mtu {
    type Error = InvalidId;

    fn try_from(bytes: u16) -> Result<Self, InvalidId> {
        match (Self::LEAST..=Self::MOST).contains(&bytes) {
            true => Ok(Self(bytes)),
            false => Err(InvalidId::new("an MTU", "1280 to 1500 bytes")),
        }
    }
}

impl From<Mtu> for u16 {
    fn from(mtu: Mtu) -> Self {
        mtu.bytes()
    }
}

/// The bare number.
impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;

    #[test]
    fn an_mtu_is_of_1280_to_1500_bytes_and_absent_where_nothing_is_said() {
        let read = |text: &str| serde_json::from_str::<Network>(text).map(|network| network.mtu.map(Mtu::bytes));
        for good in [1280, 1320, 1500] {
            let text = format!(r#"{{"mtu":{good}}}"#);
            assert_eq!(read(&text).expect(&text), Some(good));
        }
        assert_eq!(read("{}").expect("a network"), None);
        for bad in ["0", "1279", "1501", "65536", "-1", "1320.5", "\"1320\""] {
            assert!(read(&format!(r#"{{"mtu":{bad}}}"#)).is_err(), "{bad} was accepted");
        }
        let said = read(r#"{"mtu":1279}"#).expect_err("too small").to_string();
        assert!(said.contains("1280 to 1500 bytes"), "{said}");
    }

    #[test]
    fn a_network_that_says_none_is_written_as_before_there_was_one() {
        let written = |mtu| {
            let network = Network {
                mtu,
                ..Network::default()
            };
            serde_json::to_value(network).expect("JSON")
        };
        assert_eq!(written(None).get("mtu"), None);
        let mtu = Mtu::try_from(1320).expect("an MTU");
        assert_eq!(written(Some(mtu))["mtu"], 1320);
        assert_eq!((mtu.to_string().as_str(), mtu.most_segment()), ("1320", 1280));
        assert_eq!(Mtu::default().bytes(), 1500);
    }
}
