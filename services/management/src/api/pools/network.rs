//! The network of a pool in the API: the body of requests, with a refusal that names each wrong entry, and that of answers.

use std::net::IpAddr;

use poem_openapi::{Enum, Object};
use vpnmanager_nats::{
    commands::Host,
    network::{InvalidPrefix, MaxSegment, Mtu, Nat, Network, Prefix},
};
use vpnmanager_openapi::problem::ApiError;

use crate::api::address::{ipv4, ipv6};
use crate::api::entries::{PrefixText, entry};
use crate::api::faults::{Faults, contradictory};
use crate::domain::pool::SoundNetwork;

entry! {
    /// The address of a DNS server.
    struct DnsServerText, "dns-server", concat!("^(?:", ipv4!(), "|", ipv6!(), ")$"), 64, "10.20.0.53"
}

entry! {
    /// A DNS domain (RFC 1123, section 2.1).
    struct DomainText, "dns-domain",
    r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
    253, "corp.example"
}

/// What users of a pool reach through the tunnel. What is left out has its default.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "WantedNetwork")]
pub(super) struct NetworkBody {
    /// Prefixes that clients send into the tunnel and may reach there, such as `10.20.0.0/16` or `2001:db8:20::/48`. No two overlap. None
    /// contains the address of a server of the pool, or of the bus: the way to it would lead into the tunnel. With `redirect_gateway` they
    /// add nothing, and are allowed.
    #[oai(default, validator(max_items = 64))]
    routes: Vec<PrefixText>,
    /// Whether clients send everything into the tunnel, and may reach everything.
    #[oai(default)]
    redirect_gateway: bool,
    /// The DNS servers that clients ask while they are connected. Give them a route if they are not behind `redirect_gateway`.
    #[oai(default, validator(max_items = 6))]
    dns_servers: Vec<DnsServerText>,
    /// The domains that clients complete names with.
    #[oai(default, validator(max_items = 6))]
    search_domains: Vec<DomainText>,
    /// What machines behind the servers see as the source of clients' packets.
    #[oai(default)]
    nat: NatKind,
    /// Whether clients reach each other.
    #[oai(default)]
    client_to_client: bool,
    /// The largest TCP segment of connections through the tunnel, in bytes without headers; without it OpenVPN's own bound.
    #[oai(validator(minimum(value = "536"), maximum(value = "8960")))]
    max_segment: Option<u16>,
    /// The largest packet in the tunnel, in bytes with its IP header; without it 1500. For networks on the way that lose large packets:
    /// `max_segment` helps TCP alone, this helps everything. It is in profiles that are fetched from then on; clients with a profile of before go
    /// on with packets of up to 1500 bytes. `max_segment` is at most 40 less.
    #[oai(validator(minimum(value = "1280"), maximum(value = "1500")))]
    mtu: Option<u16>,
}

/// What users of a pool reach through the tunnel.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "Network")]
pub(super) struct NetworkView {
    /// Prefixes that clients send into the tunnel and may reach there.
    routes: Vec<String>,
    /// Whether clients send everything into the tunnel, and may reach everything.
    redirect_gateway: bool,
    /// The DNS servers that clients ask while they are connected.
    dns_servers: Vec<String>,
    /// The domains that clients complete names with.
    search_domains: Vec<String>,
    /// What machines behind the servers see as the source of clients' packets.
    nat: NatKind,
    /// Whether clients reach each other.
    client_to_client: bool,
    /// The largest TCP segment of connections through the tunnel, in bytes without headers; absent: OpenVPN's own bound.
    max_segment: Option<u16>,
    /// The largest packet in the tunnel, in bytes with its IP header; absent: 1500.
    mtu: Option<u16>,
}

/// What machines behind the servers see as the source of clients' packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", rename = "Nat")]
enum NatKind {
    /// The address of the server.
    #[default]
    Masquerade,
    /// The client's address in the tunnel: the network behind the server routes it back to the server.
    None,
}

impl NetworkBody {
    /// The network, or what is wrong with which entry: 400 where some have not the form of the description, otherwise 409.
    pub(super) fn into_network(self) -> Result<SoundNetwork, ApiError> {
        let mut faults = Faults::default();
        let routes = self.routes.iter().map(|text| text.0.as_str());
        let servers = self.dns_servers.iter().map(|text| text.0.as_str());
        let domains = self.search_domains.iter().map(|text| text.0.as_str());
        let network = Network {
            routes: faults.parsed("network.routes", routes, |text| {
                matches!(text.parse::<Prefix>(), Err(InvalidPrefix::Malformed(_)))
            }),
            redirect_gateway: self.redirect_gateway,
            dns_servers: faults.parsed("network.dns_servers", servers, |text| text.parse::<IpAddr>().is_err()),
            search_domains: faults.parsed("network.search_domains", domains, |text| text.parse::<Host>().is_err()),
            nat: match self.nat {
                NatKind::Masquerade => Nat::Masquerade,
                NatKind::None => Nat::None,
            },
            client_to_client: self.client_to_client,
            // Their bounds were checked where they were read.
            max_segment: self.max_segment.and_then(|bytes| MaxSegment::try_from(bytes).ok()),
            mtu: self.mtu.and_then(|bytes| Mtu::try_from(bytes).ok()),
        };
        if let Some(refusal) = faults.refusal() {
            return Err(refusal);
        }
        SoundNetwork::new(network).map_err(|found| {
            let found = found.into_iter();
            contradictory(found.map(|found| (format!("network.{}", found.field()), found.to_string())))
        })
    }

    /// An example for descriptions.
    pub(super) fn example() -> Self {
        Self {
            routes: ["10.20.0.0/16", "2001:db8:20::/48"]
                .map(|text| PrefixText(text.to_owned()))
                .into(),
            redirect_gateway: false,
            dns_servers: vec![DnsServerText("10.20.0.53".to_owned())],
            search_domains: vec![DomainText("corp.example".to_owned())],
            nat: NatKind::Masquerade,
            client_to_client: false,
            max_segment: None,
            mtu: None,
        }
    }
}

impl NetworkView {
    pub(super) fn of(network: Network) -> Self {
        Self {
            routes: network.routes.iter().map(ToString::to_string).collect(),
            redirect_gateway: network.redirect_gateway,
            dns_servers: network.dns_servers.iter().map(ToString::to_string).collect(),
            search_domains: network.search_domains.iter().map(ToString::to_string).collect(),
            nat: match network.nat {
                Nat::Masquerade => NatKind::Masquerade,
                Nat::None => NatKind::None,
            },
            client_to_client: network.client_to_client,
            max_segment: network.max_segment.map(MaxSegment::bytes),
            mtu: network.mtu.map(Mtu::bytes),
        }
    }
}
