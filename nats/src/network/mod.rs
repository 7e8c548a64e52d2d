//! The network of a pool: what its users reach through the tunnel. Management decides it for each pool; each node of the pool applies it.

mod dns;
mod mtu;
mod prefix;

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::{
    bounded::at_most,
    ids::{InvalidId, NodeId, Revision},
    text::word_enum,
};

pub use dns::{DnsServer, DomainName};
pub use mtu::Mtu;
pub use prefix::{InvalidPrefix, Prefix};

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
    /// The largest packet in the tunnel, in bytes with its IP header; `None`: 1500, and nothing is said of it. A node of an older release knows
    /// nothing of it, and tells that it has applied the network all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
}

impl Network {
    /// The most routes: each costs a client a line of OpenVPN's push, and the node an element of its firewall.
    pub const MOST_ROUTES: usize = 64;
    /// The most DNS servers, and the most search domains: resolvers use few.
    pub const MOST_DNS: usize = 6;
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
    use super::*;

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
