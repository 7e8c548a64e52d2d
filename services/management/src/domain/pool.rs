//! What the network of a pool keeps: it does not contradict itself, and no way that must lead around the tunnel leads into it.

use std::{fmt::Display, net::IpAddr};

use vpnmanager_nats::{
    commands::Host,
    network::{MaxSegment, Mtu, Network, Prefix},
};

/// A network that does not contradict itself: no two routes overlap, no DNS server and no search domain is there twice, and the largest segment
/// fits into the largest packet. Routes beside `redirect_gateway` contradict nothing: everything contains them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundNetwork(Network);

/// An entry of a list of a pool that contradicts an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Contradiction {
    /// The list, by its name in [`Network`], or in the pool.
    pub list: &'static str,
    /// The place of the entry, counted from 0.
    pub entry: usize,
    /// What is wrong with it, for people.
    pub reason: String,
}

impl Contradiction {
    /// The field, with the place of the entry: `routes.2`.
    pub fn field(&self) -> String {
        format!("{}.{}", self.list, self.entry)
    }
}

/// What contradicts something else in a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// An entry of a list.
    #[error(transparent)]
    Entry(Contradiction),
    /// `max_segment` is larger than what fits into a packet of `mtu`.
    #[error(
        "segments of {} bytes do not fit into packets of {mtu} bytes: take at most {} bytes, or leave it out",
        .segment.bytes(),
        .mtu.most_segment()
    )]
    Segment {
        /// The largest segment that is asked for.
        segment: MaxSegment,
        /// The MTU that is asked for.
        mtu: Mtu,
    },
}

impl Unsound {
    /// The field, by its name in [`Network`], with the place of an entry: `routes.2`.
    pub fn field(&self) -> String {
        match self {
            Self::Entry(contradiction) => contradiction.field(),
            Self::Segment { .. } => "max_segment".to_owned(),
        }
    }
}

impl SoundNetwork {
    /// The network, or everything in it that contradicts something else in it.
    pub fn new(network: Network) -> Result<Self, Vec<Unsound>> {
        let found = contradictions(&network);
        match found.is_empty() {
            true => Ok(Self(network)),
            false => Err(found),
        }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.0
    }

    /// The network by value.
    pub fn into_network(self) -> Network {
        self.0
    }
}

fn contradictions(network: &Network) -> Vec<Unsound> {
    let Network {
        routes,
        dns_servers,
        search_domains,
        ..
    } = network;
    let overlapping = clashes(routes, Prefix::overlaps).map(|(entry, earlier)| Contradiction {
        list: "routes",
        entry,
        reason: format!(
            "{} overlaps {}, which is there as well: leave one of them out",
            routes[entry], routes[earlier]
        ),
    });
    let servers = clashes(dns_servers, |one, other| one == other)
        .map(|(entry, _)| twice("dns_servers", entry, dns_servers[entry]));
    let domains = clashes(search_domains, |one, other| one == other)
        .map(|(entry, _)| twice("search_domains", entry, &search_domains[entry]));
    let entries = overlapping.chain(servers).chain(domains).map(Unsound::Entry);
    entries.chain(large_segment(network)).collect()
}

/// The headers of IPv4 count, which are the smaller ones.
fn large_segment(network: &Network) -> Option<Unsound> {
    let (segment, mtu) = network.max_segment.zip(network.mtu)?;
    (segment.bytes() > mtu.most_segment()).then_some(Unsound::Segment { segment, mtu })
}

/// Each entry that clashes with one before it, and the first such one.
pub(super) fn clashes<T>(entries: &[T], clash: impl Fn(&T, &T) -> bool) -> impl Iterator<Item = (usize, usize)> {
    entries.iter().enumerate().filter_map(move |(place, entry)| {
        let earlier = entries.iter().take(place).position(|earlier| clash(earlier, entry))?;
        Some((place, earlier))
    })
}

pub(super) fn twice(list: &'static str, entry: usize, value: impl Display) -> Contradiction {
    Contradiction {
        list,
        entry,
        reason: format!("{value} is there twice: leave one of them out"),
    }
}

/// An address that must be reached around the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Whose address it is, for people: `node-1`, or `the bus`.
    pub to: String,
    /// The address.
    pub address: IpAddr,
}

impl Way {
    /// The way to a node that clients dial at this host; `None` where that is a name, which may lead anywhere.
    pub fn of_node(node: impl ToString, host: &Host) -> Option<Self> {
        Self::of(node.to_string(), host.as_str())
    }

    /// The way to the bus at this URL; `None` where it has a name.
    pub fn of_bus(url: &str) -> Option<Self> {
        let (_, place) = url.split_once("://")?;
        let host = match place.strip_prefix('[') {
            Some(place) => place.split_once(']')?.0,
            None => place.split(':').next()?,
        };
        Self::of("the bus".to_owned(), host)
    }

    fn of(to: String, host: &str) -> Option<Self> {
        let address: IpAddr = host.parse().ok()?;
        Some(Self {
            to,
            address: address.to_canonical(),
        })
    }
}

/// A route that would take a way into the tunnel. Packets of the tunnel itself would go into the tunnel then, and nothing would come through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the way to {} ({}) would lead into the tunnel: split the route so that it leaves it out",
    .way.to,
    .way.address
)]
pub struct Swallowed {
    /// The place of the route, counted from 0.
    pub route: usize,
    /// The way.
    pub way: Way,
}

/// The first route that takes one of these ways into the tunnel.
pub fn swallowed(routes: &[Prefix], ways: &[Way]) -> Option<Swallowed> {
    routes.iter().enumerate().find_map(|(route, prefix)| {
        let way = ways.iter().find(|way| prefix.contains(way.address))?;
        Some(Swallowed {
            route,
            way: way.clone(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(routes: &[&str], dns_servers: &[&str], search_domains: &[&str]) -> Network {
        Network {
            routes: routes.iter().map(|text| text.parse().expect(text)).collect(),
            dns_servers: dns_servers.iter().map(|text| text.parse().expect(text)).collect(),
            search_domains: search_domains.iter().map(|text| text.parse().expect(text)).collect(),
            ..Network::default()
        }
    }

    fn refused(network: Network) -> Vec<String> {
        let found = SoundNetwork::new(network).expect_err("a contradiction");
        found.iter().map(Unsound::field).collect()
    }

    /// A network that says this of sizes.
    fn sized(segment: u16, mtu: Option<u16>) -> Network {
        Network {
            max_segment: Some(MaxSegment::try_from(segment).expect("a segment")),
            mtu: mtu.map(|bytes| Mtu::try_from(bytes).expect("an MTU")),
            ..Network::default()
        }
    }

    #[test]
    fn a_network_without_contradictions_is_taken_as_it_is() {
        for sound in [
            network(&[], &[], &[]),
            network(
                &["10.0.0.0/16", "10.1.0.0/16", "fd00::/8"],
                &["10.0.0.53", "fd00::53"],
                &["a.example", "b.example"],
            ),
            Network {
                redirect_gateway: true,
                ..network(&["10.0.0.0/16"], &[], &[])
            },
        ] {
            assert_eq!(
                SoundNetwork::new(sound.clone()).map(SoundNetwork::into_network),
                Ok(sound)
            );
        }
    }

    #[test]
    fn each_entry_that_contradicts_an_earlier_one_is_named_once() {
        let nested = network(&["10.0.0.0/8", "192.0.2.0/24", "10.1.0.0/16", "10.0.0.0/8"], &[], &[]);
        assert_eq!(refused(nested), ["routes.2", "routes.3"]);
        let wider_last = network(&["10.1.0.0/16", "10.0.0.0/8"], &[], &[]);
        let found = SoundNetwork::new(wider_last).expect_err("an overlap");
        assert_eq!(
            found[0].to_string(),
            "10.0.0.0/8 overlaps 10.1.0.0/16, which is there as well: leave one of them out"
        );
        let twice = network(
            &[],
            &["10.0.0.53", "fd00::53", "10.0.0.53"],
            &["corp.example", "CORP.example"],
        );
        assert_eq!(refused(twice), ["dns_servers.2", "search_domains.1"]);
    }

    #[test]
    fn the_largest_segment_fits_into_the_largest_packet() {
        for sound in [sized(1280, Some(1320)), sized(1460, Some(1500)), sized(8960, None)] {
            assert_eq!(
                SoundNetwork::new(sound.clone()).map(SoundNetwork::into_network),
                Ok(sound)
            );
        }
        let found = SoundNetwork::new(sized(1281, Some(1320))).expect_err("too large");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].field(), "max_segment");
        assert_eq!(
            found[0].to_string(),
            "segments of 1281 bytes do not fit into packets of 1320 bytes: take at most 1280 bytes, or leave it out"
        );
        assert_eq!(refused(sized(1461, Some(1500))), ["max_segment"]);
    }

    #[test]
    fn the_way_to_the_bus_is_found_in_its_url_and_a_name_may_lead_anywhere() {
        for (url, expected) in [
            ("tls://203.0.113.9:4222", Some("203.0.113.9")),
            ("nats://203.0.113.9", Some("203.0.113.9")),
            ("tls://[2001:db8::9]:4222", Some("2001:db8::9")),
            ("tls://[::ffff:203.0.113.9]:4222", Some("203.0.113.9")),
            ("tls://bus.example.org:4222", None),
            ("tls://[2001:db8::9", None),
            ("203.0.113.9:4222", None),
        ] {
            let address = Way::of_bus(url).map(|way| way.address.to_string());
            assert_eq!(address.as_deref(), expected, "{url}");
        }
        let node = |host: &str| Way::of_node("node-1", &host.parse().expect("a host"));
        assert_eq!(node("vpn1.example.org"), None);
        assert_eq!(node("203.0.113.7").map(|way| way.to).as_deref(), Some("node-1"));
    }

    #[test]
    fn a_route_that_takes_a_way_into_the_tunnel_is_named_with_whose_it_is() {
        let ways = [
            Way::of_node("node-1", &"203.0.113.7".parse().expect("a host")),
            Way::of_bus("tls://[2001:db8::9]:4222"),
        ];
        let ways: Vec<Way> = ways.into_iter().flatten().collect();
        let found_in = |routes: &[&str]| swallowed(&network(routes, &[], &[]).routes, &ways);
        assert_eq!(found_in(&["10.0.0.0/8", "fd00::/8"]), None);
        let found = found_in(&["10.0.0.0/8", "203.0.113.0/24"]).expect("a way");
        assert_eq!(found.route, 1);
        assert_eq!(
            found.to_string(),
            "the way to node-1 (203.0.113.7) would lead into the tunnel: split the route so that it leaves it out"
        );
        let found = found_in(&["2001:db8::/32"]).expect("a way");
        assert_eq!((found.route, found.way.to.as_str()), (0, "the bus"));
    }
}
