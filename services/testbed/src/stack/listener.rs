//! Where a node's OpenVPN listens: each listener has a process, a tunnel device and a slice of the addresses of its own.

use std::{fmt, net::Ipv4Addr};

use serde::{Deserialize, Serialize};

/// What carries a tunnel. UDP comes first, as in profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// The usual one.
    Udp,
    /// For networks that let nothing else through.
    Tcp,
}

/// One listener, as `LISTENERS` of an agent names it: `udp:1194`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Transport.
    pub transport: Transport,
    /// The port that clients dial, on which OpenVPN listens too.
    pub port: u16,
}

impl Listener {
    /// That of a node that is told of no other.
    pub const UDP: Self = Self {
        transport: Transport::Udp,
        port: 1194,
    };
    /// For networks that let nothing through but the web.
    pub const TCP: Self = Self {
        transport: Transport::Tcp,
        port: 443,
    };
    /// What travellers need, and what the nodes of `make up` have.
    pub const BOTH: [Self; 2] = [Self::UDP, Self::TCP];
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport, self.port)
    }
}

/// The text of `LISTENERS`: `udp:1194,tcp:443`.
pub(super) fn setting(listeners: &[Listener]) -> String {
    let names: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    names.join(",")
}

/// As the agent numbers them: UDP first, otherwise in the order that they were given in.
pub(super) fn numbered(listeners: &[Listener]) -> Vec<Listener> {
    let mut numbered = listeners.to_vec();
    numbered.sort_by_key(|listener| listener.transport);
    numbered
}

/// The address of the server inside the tunnel of the listener at this place of so many. They share 10.8.0.0/16 in equal slices, whose
/// number is a power of two.
pub(super) fn server_address(place: usize, count: usize) -> Ipv4Addr {
    let slice = 256_usize.checked_div(count.next_power_of_two()).unwrap_or(256);
    let third = u8::try_from(place.saturating_mul(slice)).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, 8, third, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_is_numbered_first_and_the_rest_stays_in_order() {
        let tcp = |port| Listener {
            transport: Transport::Tcp,
            port,
        };
        let given = [tcp(443), Listener::UDP, tcp(80)];
        assert_eq!(setting(&given), "tcp:443,udp:1194,tcp:80");
        assert_eq!(numbered(&given), [Listener::UDP, tcp(443), tcp(80)]);
    }

    #[test]
    fn each_listener_has_its_slice() {
        let addresses = |count| -> Vec<String> {
            let each = (0..count).map(|place| server_address(place, count).to_string());
            each.collect()
        };
        assert_eq!(addresses(1), ["10.8.0.1"]);
        assert_eq!(addresses(2), ["10.8.0.1", "10.8.128.1"]);
        assert_eq!(addresses(3), ["10.8.0.1", "10.8.64.1", "10.8.128.1"]);
    }
}
