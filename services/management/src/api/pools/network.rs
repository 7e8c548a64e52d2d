//! The network of a pool in the API: the body of requests, with a refusal that names each wrong entry, and that of answers.

use std::{fmt::Display, str::FromStr};

use poem_openapi::{Enum, Object};
use vpnmanager_nats::network::{MaxSegment, Nat, Network};
use vpnmanager_openapi::problem::{ApiError, FieldError};
use vpnmanager_openapi::text_scalar;

use crate::domain::pool::SoundNetwork;

/// The most faults that are told of one network.
const MOST_FAULTS: usize = 20;

// Which entry of a list is wrong is told by `into_network`, which knows its place: a type that refuses its text knows nothing of where it stands.
text_scalar! {
    /// A network prefix.
    struct PrefixText {
        format: "network-prefix",
        pattern: "^[^\\x00]*$",
        length: 1..=64,
        example: "10.20.0.0/16",
        check: |_text| Ok(()),
    }
}

text_scalar! {
    /// The address of a DNS server.
    struct DnsServerText {
        format: "dns-server",
        pattern: "^[^\\x00]*$",
        length: 1..=64,
        example: "10.20.0.53",
        check: |_text| Ok(()),
    }
}

text_scalar! {
    /// A DNS domain.
    struct DomainText {
        format: "dns-domain",
        pattern: "^[^\\x00]*$",
        length: 1..=253,
        example: "corp.example",
        check: |_text| Ok(()),
    }
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
    /// The network, or what is wrong with which entry.
    pub(super) fn into_network(self) -> Result<SoundNetwork, ApiError> {
        let mut wrong = Vec::new();
        let network = Network {
            routes: parsed("routes", self.routes.iter().map(PrefixText::as_str), &mut wrong),
            redirect_gateway: self.redirect_gateway,
            dns_servers: parsed(
                "dns_servers",
                self.dns_servers.iter().map(DnsServerText::as_str),
                &mut wrong,
            ),
            search_domains: parsed(
                "search_domains",
                self.search_domains.iter().map(DomainText::as_str),
                &mut wrong,
            ),
            nat: match self.nat {
                NatKind::Masquerade => Nat::Masquerade,
                NatKind::None => Nat::None,
            },
            client_to_client: self.client_to_client,
            max_segment: match self.max_segment.map(MaxSegment::try_from).transpose() {
                Ok(segment) => segment,
                Err(error) => {
                    wrong.push(fault("network.max_segment".to_owned(), error));
                    None
                }
            },
        };
        if !wrong.is_empty() {
            return Err(refusal(wrong));
        }
        SoundNetwork::new(network).map_err(|found| {
            let faults = found.into_iter();
            refusal(
                faults
                    .map(|found| fault(place(found.list, found.entry), found.reason))
                    .collect(),
            )
        })
    }

    /// An example for descriptions.
    pub(super) fn example() -> Self {
        Self {
            routes: ["10.20.0.0/16", "2001:db8:20::/48"]
                .iter()
                .filter_map(|text| text.parse::<PrefixText>().ok())
                .collect(),
            redirect_gateway: false,
            dns_servers: "10.20.0.53".parse::<DnsServerText>().into_iter().collect(),
            search_domains: "corp.example".parse::<DomainText>().into_iter().collect(),
            nat: NatKind::Masquerade,
            client_to_client: false,
            max_segment: None,
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
        }
    }
}

/// The entry of a list as problems name it.
fn place(list: &str, entry: usize) -> String {
    format!("network.{list}.{entry}")
}

/// The entries of a list; what is wrong with the others is added to `wrong`.
fn parsed<'a, T: FromStr<Err: Display>>(
    list: &str,
    texts: impl Iterator<Item = &'a str>,
    wrong: &mut Vec<FieldError>,
) -> Vec<T> {
    let mut entries = Vec::new();
    for (entry, text) in texts.enumerate() {
        match text.parse::<T>() {
            Ok(parsed) => entries.push(parsed),
            Err(error) => wrong.push(fault(place(list, entry), error)),
        }
    }
    entries
}

fn fault(field: String, detail: impl Display) -> FieldError {
    FieldError {
        field,
        detail: detail.to_string(),
    }
}

fn refusal(mut faults: Vec<FieldError>) -> ApiError {
    faults.truncate(MOST_FAULTS);
    ApiError::invalid_fields(faults)
}
