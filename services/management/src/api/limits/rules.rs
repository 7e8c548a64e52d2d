//! What a group, or a user, says of reach, routes and speed, in the API: as parts of requests, with refusals that name each wrong entry, and of
//! answers.

use std::str::FromStr;

use poem_openapi::{Enum, Object};
use vpnmanager_nats::{
    groups::{PortRange, Reach, Speed, Transport},
    network::{InvalidPrefix, Prefix},
};

use crate::api::entries::{PrefixText, entry};
use crate::api::faults::Faults;
use crate::ops::groups::change::Speeds;

entry! {
    /// A port, or two with the smaller first.
    pub(in crate::api) struct PortsText, "ports", PortRange::PATTERN, PortRange::MAX_LENGTH, "443"
}

/// Something that members may reach.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none, rename = "WantedReach")]
pub(in crate::api) struct ReachBody {
    /// Where, such as `10.20.0.0/16` or `2001:db8:20::/48`. Left out: wherever the network of the pool and `routes` lead, over IPv4 and IPv6.
    to: Option<PrefixText>,
    /// With which protocol; every one when it is left out.
    protocol: Option<TransportKind>,
    /// On which ports, such as `443` or `8000-8100`; every one when there is none. They need the protocol `tcp` or `udp`. No two overlap.
    #[oai(default, validator(max_items = 16))]
    ports: Vec<PortsText>,
}

/// Something that members may reach.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "Reach")]
pub(in crate::api) struct ReachView {
    /// Where; absent: wherever the network of the pool and `routes` lead.
    to: Option<String>,
    /// With which protocol; absent: every one.
    protocol: Option<TransportKind>,
    /// On which ports; empty: every one.
    ports: Vec<String>,
}

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", rename = "Transport")]
pub(in crate::api) enum TransportKind {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6, for `ping`.
    Icmp,
}

/// The speed of each device of a member, in kilobits (1,000 bits) in a second.
#[derive(Debug, Clone, Copy, Object)]
#[oai(skip_serializing_if_is_none, rename = "Speed")]
pub(in crate::api) struct SpeedBody {
    /// Towards the server; as fast as it goes when it is left out.
    #[oai(validator(minimum(value = "64"), maximum(value = "10000000")))]
    up: Option<u32>,
    /// From the server; as fast as it goes when it is left out.
    #[oai(validator(minimum(value = "64"), maximum(value = "10000000")))]
    down: Option<u32>,
}

impl SpeedBody {
    pub(in crate::api) fn into_speeds(self) -> Speeds {
        Speeds {
            up: as_speed(self.up),
            down: as_speed(self.down),
        }
    }

    /// `None`: as fast as it goes both ways.
    pub(in crate::api) fn of(Speeds { up, down }: Speeds) -> Option<Self> {
        let is_limited = up.is_some() || down.is_some();
        is_limited.then(|| Self {
            up: up.map(Speed::kilobits),
            down: down.map(Speed::kilobits),
        })
    }
}

/// A speed whose bounds were checked where it was read.
pub(super) fn as_speed(kilobits: Option<u32>) -> Option<Speed> {
    kilobits.and_then(|kilobits| Speed::try_from(kilobits).ok())
}

/// The entries of the list of this name, which is `reach` with what it is in; what is wrong with the others is noted.
pub(in crate::api) fn parsed_reach(faults: &mut Faults, list: &str, entries: &[ReachBody]) -> Vec<Reach> {
    let parsed = |(entry, body): (usize, &ReachBody)| {
        let to = body.to.as_ref().and_then(|to| {
            let parsed: Option<Where> = faults.parsed_one(format!("{list}.{entry}.to"), &to.0, is_malformed_prefix);
            parsed.map(|parsed| parsed.0)
        });
        let ports = body.ports.iter().map(|ports| ports.0.as_str());
        Reach {
            to,
            protocol: body.protocol.map(TransportKind::into_transport),
            ports: faults.parsed(&format!("{list}.{entry}.ports"), ports, is_malformed_ports),
        }
    };
    entries.iter().enumerate().map(parsed).collect()
}

/// The same of `routes`.
pub(in crate::api) fn parsed_routes(faults: &mut Faults, list: &str, entries: &[PrefixText]) -> Vec<Prefix> {
    let texts = entries.iter().map(|text| text.0.as_str());
    faults.parsed(list, texts, is_malformed_prefix)
}

/// Where members may reach something.
struct Where(Prefix);

impl FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Prefix>() {
            Ok(prefix) => Ok(Self(prefix)),
            Err(InvalidPrefix::Everything(net) | InvalidPrefix::FromTheFirst(net)) => Err(format!(
                "{net} is no place: leave `to` out, which means wherever the network leads"
            )),
            Err(
                error @ (InvalidPrefix::Malformed(_)
                | InvalidPrefix::HostBits { .. }
                | InvalidPrefix::Mapped(_)
                | InvalidPrefix::Unroutable { .. }),
            ) => Err(error.to_string()),
        }
    }
}

fn is_malformed_prefix(text: &str) -> bool {
    matches!(text.parse::<Prefix>(), Err(InvalidPrefix::Malformed(_)))
}

/// Whether it is neither a number of up to five digits nor two of them.
fn is_malformed_ports(text: &str) -> bool {
    let is_number = |number: &str| {
        let is_plain = number.bytes().all(|digit| digit.is_ascii_digit()) && !number.starts_with('0');
        is_plain && (1..=5).contains(&number.len())
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    !(is_number(first) && is_number(last))
}

impl ReachView {
    pub(in crate::api) fn of(reach: Reach) -> Self {
        Self {
            to: reach.to.map(|to| to.to_string()),
            protocol: reach.protocol.map(TransportKind::of),
            ports: reach.ports.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TransportKind {
    fn into_transport(self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Udp => Transport::Udp,
            Self::Icmp => Transport::Icmp,
        }
    }

    fn of(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::Tcp,
            Transport::Udp => Self::Udp,
            Transport::Icmp => Self::Icmp,
        }
    }
}

impl ReachBody {
    /// Of values that were checked where they were read: as in the descriptions of its fields.
    pub(in crate::api) fn new(to: Option<PrefixText>, protocol: Option<TransportKind>, ports: Vec<PortsText>) -> Self {
        Self { to, protocol, ports }
    }

    /// An example for descriptions: the web servers of a network.
    pub(in crate::api) fn example() -> Self {
        Self {
            to: Some(PrefixText("10.20.0.0/16".to_owned())),
            protocol: Some(TransportKind::Tcp),
            ports: ["443", "8000-8100"].map(|ports| PortsText(ports.to_owned())).into(),
        }
    }
}

impl SpeedBody {
    /// An example for descriptions.
    pub(in crate::api) fn example() -> Self {
        Self {
            up: Some(10_000),
            down: Some(50_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_the_form_of_the_description_or_not() {
        let pattern = vpnmanager_openapi::__regex::Regex::new(PortRange::PATTERN).expect("a pattern");
        for (text, malformed, is_range) in [
            ("443", false, true),
            ("8000-8100", false, true),
            ("65536", false, false),
            ("99999-1", false, false),
            ("443-443", false, false),
            ("0", true, false),
            ("0443", true, false),
            ("123456", true, false),
            ("1-2-3", true, false),
            ("-1", true, false),
            ("1-", true, false),
            ("+1", true, false),
            ("http", true, false),
            ("", true, false),
        ] {
            assert_eq!(is_malformed_ports(text), malformed, "{text:?}");
            assert_eq!(pattern.is_match(text), !malformed, "{text:?}");
            assert_eq!(text.parse::<PortRange>().is_ok(), is_range, "{text:?}");
        }
    }
}
