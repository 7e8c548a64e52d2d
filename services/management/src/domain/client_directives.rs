//! The extra directives of the clients of a pool.

use std::net::IpAddr;

use vpnmanager_nats::network::{DnsServer, Network};
use vpnmanager_profile::directive::{ClientDirective, InvalidDirective};

use super::pool::{Contradiction, clashes, twice};

const LIST: &str = "client_directives";

/// Extra directives of which no two say something of the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientDirectives(Vec<ClientDirective>);

/// A directive that is stored cannot be put into a profile: a release that knows more stored it, or somebody changed the row by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitDirective {
    /// It is none that this release knows.
    #[error("client_directives.{entry} cannot be read")]
    Unreadable {
        /// Its place, counted from 0.
        entry: usize,
        /// Why.
        #[source]
        source: InvalidDirective,
    },
    /// It contradicts one before it.
    #[error("{}: {}", .contradiction.field(), .contradiction.reason)]
    Contradictory {
        /// Which one, and what to do.
        contradiction: Contradiction,
    },
}

/// A directive that leaves clients on Windows without DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftWithoutDns {
    /// Its place, counted from 0.
    pub entry: usize,
    /// What is lacking.
    pub lack: DnsLack,
}

/// Why clients that ask through the tunnel alone find no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsLack {
    /// The network has no DNS servers.
    Servers,
    /// Each has a public address that no route leads to, so clients would ask it beside the tunnel.
    Ways,
}

/// Clients on Windows would find no names: `block-outside-dns` lets them ask through the tunnel alone, and nobody answers there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WithoutDns {
    /// The directive is asked for, and there are no DNS servers.
    #[error(
        "clients on Windows would find no names, because they would ask the DNS servers of the tunnel alone and `network` has no \
         `dns_servers`: name some, or leave this out"
    )]
    Directive {
        /// Its place, counted from 0.
        entry: usize,
    },
    /// The directive is there, and the DNS servers would go.
    #[error(
        "clients on Windows would find no names, because `client_directives` of the pool has block-outside-dns: name some, or take it off \
         there first"
    )]
    NoServers,
    /// The directive is there, and the network would go.
    #[error(
        "clients on Windows would find no names, because `client_directives` of the pool has block-outside-dns: keep a network with \
         `dns_servers`, or take it off there first"
    )]
    NoNetwork,
    /// The directive is asked for, and the DNS servers are not reached through the tunnel.
    #[error(
        "clients on Windows would find no names, because they would ask through the tunnel alone and no route of `network` leads to one of its \
         `dns_servers`: add a route that one is in, set `redirect_gateway`, or leave this out"
    )]
    DirectiveWithoutWays {
        /// Its place, counted from 0.
        entry: usize,
    },
    /// The directive is there, and the DNS servers would not be reached through the tunnel any more.
    #[error(
        "clients on Windows would find no names, because `client_directives` of the pool has block-outside-dns and no route of `network` leads \
         to one of these: add a route that one is in, set `redirect_gateway`, or take it off there first"
    )]
    NoWays,
}

/// Where the directive is asked for.
impl From<LeftWithoutDns> for WithoutDns {
    fn from(LeftWithoutDns { entry, lack }: LeftWithoutDns) -> Self {
        match lack {
            DnsLack::Servers => Self::Directive { entry },
            DnsLack::Ways => Self::DirectiveWithoutWays { entry },
        }
    }
}

impl ClientDirectives {
    /// The directives, or everything in them that contradicts something else in them.
    pub fn new(directives: Vec<ClientDirective>) -> Result<Self, Vec<Contradiction>> {
        let found: Vec<Contradiction> = contradictions(&directives).collect();
        match found.is_empty() {
            true => Ok(Self(directives)),
            false => Err(found),
        }
    }

    /// Reads what is stored.
    ///
    /// # Errors
    /// For the first that cannot be read, or that contradicts another one if all can be read.
    pub fn of_stored(stored: &[String]) -> Result<Self, UnfitDirective> {
        let read = stored.iter().enumerate().map(|(entry, text)| {
            let directive = text.parse::<ClientDirective>();
            directive.map_err(|source| UnfitDirective::Unreadable { entry, source })
        });
        let directives = read.collect::<Result<Vec<ClientDirective>, UnfitDirective>>()?;
        let contradiction = contradictions(&directives).next();
        match contradiction {
            Some(contradiction) => Err(UnfitDirective::Contradictory { contradiction }),
            None => Ok(Self(directives)),
        }
    }

    /// As they are stored and told.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// The directives.
    pub fn as_slice(&self) -> &[ClientDirective] {
        &self.0
    }
}

/// Each directive that clashes with one before it.
fn contradictions(directives: &[ClientDirective]) -> impl Iterator<Item = Contradiction> {
    clashes(directives, ClientDirective::clashes_with).map(move |(entry, earlier)| {
        let (directive, other) = (directives[entry], directives[earlier]);
        if directive == other {
            return twice(LIST, entry, directive);
        }
        Contradiction {
            list: LIST,
            entry,
            reason: format!("{directive} contradicts {other}, which is there as well: leave one of them out"),
        }
    })
}

/// Which, among directives as they are stored, leaves clients without DNS in this network; `None` if they have DNS.
pub fn without_dns(stored: &[String], network: Option<&Network>) -> Option<LeftWithoutDns> {
    let lack = lack_of_dns(network)?;
    let is_strict = |text: &String| text.parse::<ClientDirective>() == Ok(ClientDirective::BlockOutsideDns);
    let entry = stored.iter().position(is_strict)?;
    Some(LeftWithoutDns { entry, lack })
}

/// One server that may be reached is enough. A private address without a route may be that of a node in the tunnel, which only the node knows.
fn lack_of_dns(network: Option<&Network>) -> Option<DnsLack> {
    let Some(network) = network.filter(|network| !network.dns_servers.is_empty()) else {
        return Some(DnsLack::Servers);
    };
    let is_routed = |address: IpAddr| network.routes.iter().any(|route| route.contains(address));
    let is_beside = |server: &DnsServer| is_public(server.address()) && !is_routed(server.address());
    let are_beside = !network.redirect_gateway && network.dns_servers.iter().all(is_beside);
    are_beside.then_some(DnsLack::Ways)
}

/// Whether it is of none of the private networks: RFC 1918, RFC 6598 (those of carriers), RFC 4193. A DNS server has no address of other special
/// kinds.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let is_of_carriers = first == 100 && second & 0xc0 == 64;
            !address.is_private() && !is_of_carriers
        }
        IpAddr::V6(address) => !address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(texts: &[&str]) -> Vec<ClientDirective> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[test]
    fn directives_of_one_kind_contradict_each_other() {
        let sound = directives(&["verb 1", "pull-filter ignore dns", "float"]);
        assert_eq!(
            ClientDirectives::new(sound.clone()).map(|taken| taken.as_slice().to_vec()),
            Ok(sound)
        );
        let twice = directives(&["verb 1", "float", "verb 2", "float"]);
        let found = ClientDirectives::new(twice).expect_err("contradictions");
        let found: Vec<(usize, &str)> = found.iter().map(|found| (found.entry, found.reason.as_str())).collect();
        assert_eq!(
            found,
            [
                (
                    2,
                    "verb 2 contradicts verb 1, which is there as well: leave one of them out"
                ),
                (3, "float is there twice: leave one of them out")
            ]
        );
        let both = directives(&["pull-filter ignore dns", "block-outside-dns"]);
        let found = ClientDirectives::new(both).expect_err("a contradiction");
        assert_eq!(found[0].field(), "client_directives.1");
        assert_eq!(
            found[0].reason,
            "block-outside-dns contradicts pull-filter ignore dns, which is there as well: leave one of them out"
        );
    }

    #[test]
    fn what_is_stored_is_read_again_and_nothing_else_is() {
        let taken = ClientDirectives::new(directives(&["setenv opt block-outside-dns", "mssfix 1400"])).expect("sound");
        assert_eq!(taken.texts(), ["block-outside-dns", "mssfix 1400"]);
        assert_eq!(ClientDirectives::of_stored(&taken.texts()), Ok(taken));
        for (changed, said) in [
            (["float", "up /bin/evil"], "client_directives.1 cannot be read"),
            (["persist-tun", "float"], "client_directives.0 cannot be read"),
            (
                ["verb 1", "verb 2"],
                "client_directives.1: verb 2 contradicts verb 1, which is there as well: leave one of them out",
            ),
        ] {
            let unfit = ClientDirectives::of_stored(&changed.map(str::to_owned)).expect_err(said);
            assert_eq!(unfit.to_string(), said);
        }
    }

    #[test]
    fn windows_is_told_to_ask_the_dns_of_the_tunnel_alone_only_where_there_is_some() {
        let (none, some) = (
            Network::default(),
            Network {
                dns_servers: vec!["10.20.0.53".parse().expect("an address")],
                ..Network::default()
            },
        );
        let blocked = ["float".to_owned(), "block-outside-dns".to_owned()];
        let left = LeftWithoutDns {
            entry: 1,
            lack: DnsLack::Servers,
        };
        assert_eq!(without_dns(&blocked, None), Some(left));
        assert_eq!(without_dns(&blocked, Some(&none)), Some(left));
        assert_eq!(without_dns(&blocked, Some(&some)), None);
        // Of a release that knows more.
        let kept = ["unheard-of".to_owned(), "pull-filter ignore dns".to_owned()];
        assert_eq!(without_dns(&kept, None), None);
    }

    #[test]
    fn windows_reaches_one_of_the_dns_servers_through_the_tunnel() {
        let lack = |servers: &[&str], routes: &[&str], redirect_gateway: bool| {
            let network = Network {
                dns_servers: servers.iter().map(|server| server.parse().expect(server)).collect(),
                routes: routes.iter().map(|route| route.parse().expect(route)).collect(),
                redirect_gateway,
                ..Network::default()
            };
            lack_of_dns(Some(&network))
        };
        let own = ["10.20.0.0/16"];
        for beside in [
            &["9.9.9.9"][..],
            &["9.9.9.9", "2620:fe::fe"],
            &["100.63.0.1"],
            &["100.128.0.1"],
            &["172.32.0.1"],
        ] {
            assert_eq!(lack(beside, &own, false), Some(DnsLack::Ways), "{beside:?}");
            assert_eq!(
                lack(beside, &own, true),
                None,
                "{beside:?}: everything goes through the tunnel"
            );
        }
        for inside in [
            &["10.20.0.53"][..],
            &["9.9.9.9", "10.20.0.53"],
            &["10.8.0.1"],
            &["172.31.0.1"],
            &["192.168.7.1"],
            &["100.64.0.1"],
            &["100.127.0.1"],
            &["fd00:8::1"],
        ] {
            assert_eq!(lack(inside, &own, false), None, "{inside:?}");
        }
        assert_eq!(lack(&["9.9.9.9", "1.1.1.1"], &["9.9.9.9/32"], false), None);
        assert_eq!(lack(&["2620:fe::fe"], &["2620:fe::/48"], false), None);
    }
}
