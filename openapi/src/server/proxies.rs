//! Proxies in front of the server, and whom they speak for.
//!
//! A header can be written by anybody, so it counts only from the proxies that the configuration names. Each of them appends the address
//! that it saw to `X-Forwarded-For`. So the list is read from its end: the first address that is no proxy is the client, and what stands
//! before it is the client's own word, which is not read. `Forwarded` (RFC 7239) is not read.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnetwork::IpNetwork;
use poem::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::problem::Problem;

/// The header that proxies append to.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose `X-Forwarded-For` is believed; nobody's by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Whether this address is one of a proxy.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whose request it is that came from `peer` with these headers: the peer, or the client that a proxy names, whose port is not known
    /// and given as 0. A proxy that names nobody asks for itself.
    ///
    /// # Errors
    /// A proxy whose list cannot be read is refused: to take it for the client would blame and slow down whoever else comes through it.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<SocketAddr, Box<Problem>> {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if !self.contains(peer.ip()) {
            return Ok(peer);
        }
        let mut client = peer;
        // Several lines are one list (RFC 9110, section 5.3), and an element may be empty (section 5.6.1).
        let lines: Vec<&[u8]> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .map(|line| line.as_bytes())
            .collect();
        let from_the_end = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        for entry in from_the_end.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty()) {
            let address = address_in(entry).ok_or_else(|| unreadable(entry, peer.ip()))?;
            client = SocketAddr::new(address.to_canonical(), 0);
            if !self.contains(client.ip()) {
                break;
            }
        }
        Ok(client)
    }
}

/// An address with or without a port: `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]`, `[2001:db8::7]:80`.
fn address_in(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text
            .parse::<IpAddr>()
            .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
            .ok(),
    }
}

fn unreadable(entry: &[u8], proxy: IpAddr) -> Box<Problem> {
    let entry = entry.escape_ascii();
    let detail = format!(
        "the proxy {proxy} appended \"{entry}\", which is no address: it must append the address of its caller"
    );
    let problem = Problem::of(StatusCode::BAD_REQUEST, format!("X-Forwarded-For: {detail}"));
    Box::new(problem.with_field("X-Forwarded-For", detail))
}

/// One address, or all that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNetwork);

/// Why a text names no network of proxies.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidNetwork {
    /// It begins with no address.
    #[error("\"{0}\" is no address: write one such as 192.0.2.7 or 2001:db8::7, or a prefix such as 10.0.0.0/8")]
    Address(String),
    /// An IPv4 address that is written as one of IPv6.
    #[error("\"{0}\" is an IPv4 address within IPv6: write the IPv4 address, as in 192.0.2.7")]
    Mapped(String),
    /// It has no such length, or everybody would be a proxy.
    #[error("\"{text}\" has no prefix length from 1 to {longest} after the slash")]
    Prefix {
        /// The text.
        text: String,
        /// The bits of such an address.
        longest: u8,
    },
    /// It is not clear what is meant.
    #[error(
        "\"{text}\" has bits set after its first {prefix}: write {first}/{prefix} for all of these addresses, or the address alone"
    )]
    HostBits {
        /// The text.
        text: String,
        /// The first address of what may be meant.
        first: IpAddr,
        /// The bits that its addresses begin with.
        prefix: u8,
    },
}

impl Network {
    /// Whether this address is one of these.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let address = text.split_once('/').map_or(text, |(address, _)| address);
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork::Address(text.to_owned()))?;
        if address.to_canonical() != address {
            return Err(InvalidNetwork::Mapped(text.to_owned()));
        }
        let longest = IpNetwork::from(address).prefix();
        let network = text.parse().ok().filter(|network: &IpNetwork| network.prefix() > 0);
        let network = network.ok_or_else(|| InvalidNetwork::Prefix {
            text: text.to_owned(),
            longest,
        })?;
        if network.network() == address {
            Ok(Self(network))
        } else {
            Err(InvalidNetwork::HostBits {
                text: text.to_owned(),
                first: network.network(),
                prefix: network.prefix(),
            })
        }
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = self.0;
        if network == IpNetwork::from(network.ip()) {
            write!(f, "{}", network.ip())
        } else {
            write!(f, "{network}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(networks: &[&str]) -> TrustedProxies {
        TrustedProxies(networks.iter().map(|network| network.parse().unwrap()).collect())
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (FORWARDED_FOR.parse().unwrap(), line.parse().unwrap()))
            .collect()
    }

    /// The client of a request from this address with these lines, or the field that it is refused for.
    fn client(proxies: &TrustedProxies, peer: &str, lines: &[&str]) -> Result<String, String> {
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        let found = proxies.client(peer, &headers(lines));
        found
            .map(|client| client.ip().to_string())
            .map_err(|problem| problem.errors[0].field.clone())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() {
        let proxies = proxies(&["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.1"]);
        for (peer, lines, expected) in [
            // Nobody but a proxy is asked.
            ("203.0.113.7", &["198.51.100.1"][..], "203.0.113.7"),
            ("192.0.2.2", &["198.51.100.1"], "192.0.2.2"),
            ("203.0.113.7", &["nonsense"], "203.0.113.7"),
            ("2001:db8:2::1", &["198.51.100.1"], "2001:db8:2::1"),
            // A proxy speaks for its caller, or for itself.
            ("10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("10.1.2.3", &["", " , "], "10.1.2.3"),
            ("192.0.2.1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8:1:2::3", &["2001:db8:9::1"], "2001:db8:9::1"),
            ("::ffff:10.1.2.3", &["::ffff:198.51.100.1"], "198.51.100.1"),
            // What the client wrote itself is not read.
            ("10.1.2.3", &["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &["10.9.9.9, 198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &["<script>,,unknown , 198.51.100.1"], "198.51.100.1"),
            // Proxies in the list are stepped over, also over several lines.
            (
                "10.1.2.3",
                &["6.6.6.6, 198.51.100.1, 10.0.0.1,2001:db8:1::9"],
                "198.51.100.1",
            ),
            (
                "10.1.2.3",
                &["6.6.6.6", "198.51.100.1,10.0.0.1", "192.0.2.1"],
                "198.51.100.1",
            ),
            ("10.1.2.3", &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            // With ports.
            ("10.1.2.3", &["198.51.100.1:65535"], "198.51.100.1"),
            ("10.1.2.3", &["[2001:db8:9::1]:443"], "2001:db8:9::1"),
            ("10.1.2.3", &["[2001:db8:9::1]"], "2001:db8:9::1"),
            (
                "10.1.2.3",
                &["198.51.100.1, 10.0.0.1:80, [2001:db8:1::1]:80"],
                "198.51.100.1",
            ),
        ] {
            assert_eq!(
                client(&proxies, peer, lines).as_deref(),
                Ok(expected),
                "{peer} {lines:?}"
            );
        }
        for lines in [
            &["unknown"][..],
            &["_hidden"],
            &["198.51.100.1;"],
            &["198.51.100.1:65536"],
            &["198.51.100.1:x"],
            &["198.51.100.256"],
            &["[198.51.100.1]"],
            &["[2001:db8::1"],
            &["\"[2001:db8::1]:80\""],
            &["for=198.51.100.1"],
            &["198.51.100.1 10.0.0.1"],
            &["198.51.100.1, nonsense"],
            &["198.51.100.1", "nonsense, 10.0.0.1"],
        ] {
            assert_eq!(
                client(&proxies, "10.1.2.3", lines).as_deref(),
                Err(&"X-Forwarded-For".to_owned()),
                "{lines:?}"
            );
        }
        assert_eq!(
            client(&TrustedProxies::default(), "127.0.0.1", &["198.51.100.1"]).as_deref(),
            Ok("127.0.0.1")
        );
    }

    #[test]
    fn the_port_is_known_of_the_peer_only() {
        let proxies = proxies(&["10.0.0.1"]);
        for (peer, port) in [("10.0.0.1:80", 0), ("203.0.113.7:80", 80)] {
            let client = proxies.client(peer.parse().unwrap(), &headers(&["198.51.100.1:90"]));
            assert_eq!(client.unwrap().port(), port);
        }
    }

    #[test]
    fn a_network_is_shown_in_one_spelling() {
        for text in [
            "192.0.2.7",
            "10.0.0.0/8",
            "128.0.0.0/1",
            "2001:db8::/32",
            "::1",
            "2001:db8::7",
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert_eq!("192.0.2.7/32".parse::<Network>(), "192.0.2.7".parse());
        assert_eq!("::1/128".parse::<Network>(), "::1".parse());
        assert_eq!("10.0.0.0/255.0.0.0".parse::<Network>(), "10.0.0.0/8".parse());
        for (text, said) in [
            ("", "is no address"),
            ("proxy.example.org", "is no address"),
            ("10.0.0/8", "is no address"),
            ("010.0.0.0/8", "is no address"),
            ("10.0.0.1:80", "is no address"),
            ("[::1]", "is no address"),
            ("fe80::1%eth0", "is no address"),
            ("10.0.0.0/", "from 1 to 32"),
            ("10.0.0.0/33", "from 1 to 32"),
            ("10.0.0.0/-8", "from 1 to 32"),
            ("10.0.0.0/255.0.255.0", "from 1 to 32"),
            ("10.0.0.0/8/8", "from 1 to 32"),
            ("0.0.0.0/0", "from 1 to 32"),
            ("::/0", "from 1 to 128"),
            ("2001:db8::/129", "from 1 to 128"),
            ("10.0.0.1/8", "write 10.0.0.0/8"),
            ("2001:db8::1/64", "write 2001:db8::/64"),
            ("::ffff:10.0.0.1", "write the IPv4 address"),
            ("::ffff:10.0.0.0/104", "write the IPv4 address"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(text), "{text}: {error}");
        }
    }
}
