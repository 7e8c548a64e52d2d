//! Names of network interfaces.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use vpnmanager_nats::commands::Protocol;

/// The most bytes of a name (`IFNAMSIZ` less its final NUL, netdevice(7)).
const MOST_BYTES: usize = 15;

/// A name of an interface that is safe in a line of OpenVPN and in a quoted string of nft, where `*` would stand for any end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(String);

/// Not the name of an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of an interface such as eth1: 1 to 15 letters, digits, '.', '-', '_', '+' or '@'")]
pub struct InvalidInterfaceName(String);

impl InterfaceName {
    /// The tunnel device of the server that listens there: no other server of the machine does.
    pub fn of_listener(protocol: Protocol, port: u16) -> Self {
        Self(format!("vpn-{protocol}{port}"))
    }

    /// The bare name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = InvalidInterfaceName;

    fn from_str(text: &str) -> Result<Self, InvalidInterfaceName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+' | b'@');
        let fits = (1..=MOST_BYTES).contains(&text.len()) && text.bytes().all(plain) && !matches!(text, "." | "..");
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidInterfaceName(text.chars().take(64).collect())),
        }
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = InvalidInterfaceName;

    fn try_from(text: String) -> Result<Self, InvalidInterfaceName> {
        text.parse()
    }
}

impl From<InterfaceName> for String {
    fn from(name: InterfaceName) -> Self {
        name.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_carry_neither_a_second_directive_nor_a_pattern() {
        for bad in [
            "",
            ".",
            "..",
            "eth 0",
            "eth0\n",
            "eth0\"",
            "eth*",
            "a/b",
            "eth0:1",
            "a\\b",
            "sixteen-letters-",
        ] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad:?} was accepted");
        }
        for good in ["eth0", "br-lan", "eth0.100", "fifteen-letters"] {
            assert_eq!(good.parse::<InterfaceName>().expect(good).as_str(), good);
        }
    }

    #[test]
    fn the_device_of_every_listener_has_a_name_that_fits() {
        for (protocol, port, expected) in [
            (Protocol::Udp, 1194, "vpn-udp1194"),
            (Protocol::Tcp, 65535, "vpn-tcp65535"),
        ] {
            let name = InterfaceName::of_listener(protocol, port);
            assert_eq!(name.as_str().parse::<InterfaceName>(), Ok(name.clone()));
            assert_eq!(name.as_str(), expected);
        }
    }
}
