//! Where clients dial, and where OpenVPN listens for them: the setting `LISTENERS`.

use std::{fmt, num::NonZeroU16};

use serde::{Deserialize, Serialize};
use vpnmanager_nats::{
    commands::Protocol,
    listeners::{InvalidListeners, Listener, Listeners},
};

/// One listener, and where the OpenVPN behind it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// What clients dial.
    pub listener: Listener,
    /// Where OpenVPN listens: another port where a router, a load balancer or a container's port map forwards the one to the other.
    pub port: NonZeroU16,
}

/// All listeners of a node: 1 to [`Listeners::MOST`], UDP first, otherwise in the order given. Each has an OpenVPN of its own, so no two
/// have the same transport and port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ListeningOn {
    all: Vec<Listening>,
    listeners: Listeners,
}

/// Not a list of listeners.
#[derive(Debug, thiserror::Error)]
pub enum InvalidListening {
    /// An item that is none.
    #[error(
        "{text:?} is no listener such as udp:1194, or tcp:443:8443 where OpenVPN listens on another port than clients dial"
    )]
    Item {
        /// What was given.
        text: String,
    },
    /// None, too many, or the same one twice.
    #[error(transparent)]
    Listeners(#[from] InvalidListeners),
    /// Two of one transport are forwarded to one port.
    #[error("{one} and {other} name one port: OpenVPN cannot listen twice on {} {port}", one.listener.protocol)]
    SamePort {
        /// One of them.
        one: Listening,
        /// The other one.
        other: Listening,
        /// The port.
        port: NonZeroU16,
    },
}

/// Which listener of its node one is: the first has 0. Whatever is there for each listener is in the order of [`ListeningOn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerNumber(pub usize);

impl ListenerNumber {
    /// The first. Its files have the names of those of a node with one listener.
    pub const FIRST: Self = Self(0);

    /// The listener with this number, if it is one beside the first: its files have it in their names ([`suffix_of`]).
    pub fn beside(self, listener: Listener) -> Option<Listener> {
        (self != Self::FIRST).then_some(listener)
    }
}

impl Listening {
    /// Reads `udp:1194` or `tcp:443:8443`.
    fn read(text: &str) -> Result<Self, InvalidListening> {
        let invalid = || InvalidListening::Item { text: text.to_owned() };
        let (dialled, port) = match text.match_indices(':').nth(1) {
            Some((at, _)) => {
                let (dialled, port) = text.split_at(at);
                let port = port.strip_prefix(':').unwrap_or(port);
                (dialled, Some(port.parse::<NonZeroU16>().map_err(|_| invalid())?))
            }
            None => (text, None),
        };
        let listener: Listener = dialled.parse().map_err(|_| invalid())?;
        let read = Self {
            listener,
            port: port.unwrap_or(listener.port),
        };
        // `tcp:443:+8443` and `tcp:443:08443` are numbers too.
        let is_plain = match port {
            Some(port) => format!("{listener}:{port}") == text,
            None => listener.to_string() == text,
        };
        is_plain.then_some(read).ok_or_else(invalid)
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port == self.listener.port {
            true => write!(f, "{}", self.listener),
            false => write!(f, "{}:{}", self.listener, self.port),
        }
    }
}

impl ListeningOn {
    /// Checks and orders them.
    ///
    /// # Errors
    /// [`InvalidListening`] where there are none or too many, or two are the same.
    pub fn new(mut listening: Vec<Listening>) -> Result<Self, InvalidListening> {
        let listeners = Listeners::new(listening.iter().map(|one| one.listener).collect())?;
        for (number, one) in listening.iter().enumerate() {
            let is_same =
                |other: &&Listening| (other.listener.protocol, other.port) == (one.listener.protocol, one.port);
            if let Some(other) = listening.iter().skip(number + 1).find(is_same) {
                return Err(InvalidListening::SamePort {
                    one: *one,
                    other: *other,
                    port: one.port,
                });
            }
        }
        // As `Listeners` orders them.
        listening.sort_by_key(|one| one.listener.protocol);
        Ok(Self {
            all: listening,
            listeners,
        })
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Listening> {
        self.all.iter().copied()
    }

    /// How many there are, 1 or more.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// What clients dial, in the same order.
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }
}

impl From<Listening> for ListeningOn {
    fn from(one: Listening) -> Self {
        Self {
            all: vec![one],
            listeners: one.listener.into(),
        }
    }
}

impl TryFrom<Vec<String>> for ListeningOn {
    type Error = InvalidListening;

    fn try_from(texts: Vec<String>) -> Result<Self, InvalidListening> {
        let read: Result<Vec<Listening>, InvalidListening> = texts.iter().map(|text| Listening::read(text)).collect();
        Self::new(read?)
    }
}

impl From<ListeningOn> for Vec<String> {
    fn from(listening: ListeningOn) -> Self {
        listening.iter().map(|one| one.to_string()).collect()
    }
}

/// What stands behind the names of the files of a listener `beside` the first: `.tcp443`, by the port that clients dial. Nothing behind those of
/// the first.
pub fn suffix_of(beside: Option<Listener>) -> String {
    beside.map_or_else(String::new, |listener| {
        format!(".{}{}", listener.protocol, listener.port)
    })
}

/// The listener beside the first whose files have this suffix.
pub fn listener_of(suffix: &str) -> Option<Listener> {
    let read = |protocol: &Protocol| {
        let port = suffix.strip_prefix('.')?.strip_prefix(protocol.as_str())?;
        format!("{protocol}:{port}").parse::<Listener>().ok()
    };
    let found = Protocol::ALL.iter().find_map(read);
    found.filter(|listener| suffix_of(Some(*listener)) == suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<ListeningOn, InvalidListening> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        texts.try_into()
    }

    #[test]
    fn udp_comes_first_and_a_port_of_openvpns_own_is_kept() {
        let listening = read(&["tcp:443:8443", "udp:1194", "tcp:80", "udp:53:1194"]);
        assert!(
            matches!(&listening, Err(InvalidListening::SamePort { port, .. }) if port.get() == 1194),
            "{listening:?}"
        );

        let listening = read(&["tcp:443:8443", "udp:1194", "tcp:80", "udp:53:1195"]).expect("four listeners");
        let texts: Vec<String> = listening.clone().into();
        assert_eq!(texts, ["udp:1194", "udp:53:1195", "tcp:443:8443", "tcp:80"]);
        assert_eq!(listening.listeners().to_string(), "udp:1194,udp:53,tcp:443,tcp:80");
        let ports: Vec<u16> = listening.iter().map(|one| one.port.get()).collect();
        assert_eq!(ports, [1194, 1195, 8443, 80]);
        // What is printed reads as the same.
        assert_eq!(ListeningOn::try_from(texts).expect("the same"), listening);
        // The same port of both transports is two.
        assert_eq!(read(&["udp:443", "tcp:443"]).expect("two listeners").count(), 2);
    }

    #[test]
    fn what_is_none_is_named() {
        for bad in [
            "",
            "udp",
            "udp:",
            "udp:0",
            "udp:65536",
            "sctp:1194",
            "udp1194",
            "1194",
            "UDP:1194",
            "udp:+1194",
            "udp:01194",
            "udp:1194:",
            "udp:1194:0",
            "udp:1194:+8",
            "udp:1194:08",
            "udp:1194:1195:1196",
            " udp:1194",
        ] {
            let error = read(&["tcp:443", bad]).expect_err(bad).to_string();
            assert!(
                error.starts_with(&format!("{bad:?} is no listener such as udp:1194")),
                "{error}"
            );
        }
        for bad in [
            &[][..],
            &["udp:1194", "udp:1194"],
            &["udp:1", "udp:2", "udp:3", "tcp:1", "tcp:2"],
        ] {
            let read = read(bad);
            assert!(matches!(read, Err(InvalidListening::Listeners(_))), "{bad:?}: {read:?}");
        }
        let error = read(&["tcp:443:8443", "tcp:8443"]).expect_err("one port").to_string();
        assert_eq!(
            error,
            "tcp:443:8443 and tcp:8443 name one port: OpenVPN cannot listen twice on tcp 8443"
        );
    }

    #[test]
    fn a_suffix_names_a_listener_beside_the_first_and_nothing_else_does() {
        let listening = read(&["udp:1194", "tcp:443:8443"]).expect("two listeners");
        let numbered = listening.iter().enumerate();
        let beside: Vec<_> = numbered
            .map(|(number, one)| ListenerNumber(number).beside(one.listener))
            .collect();
        let suffixes: Vec<String> = beside.iter().map(|beside| suffix_of(*beside)).collect();
        assert_eq!(suffixes, ["", ".tcp443"]);
        for one in listening.iter() {
            assert_eq!(listener_of(&suffix_of(Some(one.listener))), Some(one.listener));
        }
        for other in [
            "",
            ".",
            "tcp443",
            ".tcp",
            ".tcp0",
            ".tcp0443",
            ".tcp443 ",
            ".tcp:443",
            ".xtcp443",
            ".443",
            ".tcp70000",
            "..tcp443",
            ".tcp443.old",
        ] {
            assert_eq!(listener_of(other), None, "{other:?}");
        }
    }
}
