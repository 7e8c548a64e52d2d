//! The listeners of a node: where clients reach its OpenVPN servers. Each is an OpenVPN process of its own; who may log in, and everything else,
//! is the same on all.

use std::{collections::BTreeSet, fmt, num::NonZeroU16, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{commands::Protocol, ids::InvalidId, text::as_text};

/// One listener of a node, `udp:1194`. The order is that of profiles: UDP before TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct Listener {
    /// The transport of its tunnels.
    pub protocol: Protocol,
    /// The port that clients dial, 1 to 65535.
    pub port: NonZeroU16,
}

impl Listener {
    /// The pattern of a valid text, for API descriptions.
    pub const PATTERN: &'static str =
        "^(?:udp|tcp):(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$";
    /// The fewest characters of a text.
    pub const MIN_LENGTH: usize = 5;
    /// The most characters of a text.
    pub const MAX_LENGTH: usize = 9;
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol, self.port)
    }
}

impl FromStr for Listener {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let read = || {
            let (protocol, port) = text.split_once(':')?;
            let listener = Self {
                protocol: protocol.parse().ok()?,
                port: port.parse().ok()?,
            };
            // `0443` and `+443` are numbers too.
            (listener.to_string() == text).then_some(listener)
        };
        read().ok_or_else(|| {
            InvalidId::new(
                "a listener",
                "udp or tcp, ':' and a port from 1 to 65535, such as udp:1194",
            )
        })
    }
}

as_text!(Listener);

/// The listeners of one node: 1 to [`Self::MOST`], no two the same, those of UDP first. As text `udp:1194,tcp:443`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "Vec<Listener>", into = "Vec<Listener>")]
pub struct Listeners {
    first: Listener,
    others: Vec<Listener>,
}

/// Why listeners are not those of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidListeners {
    /// There is none.
    #[error("a node must have at least one listener")]
    Empty,
    /// There are more than [`Listeners::MOST`].
    #[error("a node must have at most {} listeners, not {found}", Listeners::MOST)]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// One is there twice.
    #[error("the listener {0} is named twice")]
    Twice(Listener),
    /// A text that is no listener.
    #[error(transparent)]
    Malformed(#[from] InvalidId),
}

impl Listeners {
    /// The most listeners of one node.
    pub const MOST: usize = 4;

    /// Those of UDP come first, otherwise the order stays.
    ///
    /// # Errors
    /// There is none, there are more than [`Self::MOST`], or two are the same.
    pub fn new(mut listeners: Vec<Listener>) -> Result<Self, InvalidListeners> {
        if listeners.len() > Self::MOST {
            return Err(InvalidListeners::TooMany { found: listeners.len() });
        }
        let mut known = BTreeSet::new();
        if let Some(twice) = listeners.iter().copied().find(|listener| !known.insert(*listener)) {
            return Err(InvalidListeners::Twice(twice));
        }
        listeners.sort_by_key(|listener| listener.protocol);
        let mut listeners = listeners.into_iter();
        let first = listeners.next().ok_or(InvalidListeners::Empty)?;
        Ok(Self {
            first,
            others: listeners.collect(),
        })
    }

    /// The first one.
    pub fn first(&self) -> Listener {
        self.first
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Listener> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }

    /// How many there are: 1 to [`Self::MOST`].
    #[expect(clippy::len_without_is_empty, reason = "they are never empty")]
    pub fn len(&self) -> usize {
        1 + self.others.len()
    }

    /// Whether there is only one.
    pub fn is_one(&self) -> bool {
        self.others.is_empty()
    }
}

impl From<Listener> for Listeners {
    fn from(first: Listener) -> Self {
        Self {
            first,
            others: Vec::new(),
        }
    }
}

impl TryFrom<Vec<Listener>> for Listeners {
    type Error = InvalidListeners;

    fn try_from(listeners: Vec<Listener>) -> Result<Self, InvalidListeners> {
        Self::new(listeners)
    }
}

impl From<Listeners> for Vec<Listener> {
    fn from(listeners: Listeners) -> Self {
        listeners.iter().collect()
    }
}

impl fmt::Display for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        self.others.iter().try_for_each(|listener| write!(f, ",{listener}"))
    }
}

impl FromStr for Listeners {
    type Err = InvalidListeners;

    fn from_str(text: &str) -> Result<Self, InvalidListeners> {
        let listeners = text.split(',').map(str::parse);
        Self::new(listeners.collect::<Result<_, InvalidId>>()?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listener(text: &str) -> Listener {
        text.parse().expect(text)
    }

    #[test]
    fn a_listener_is_a_transport_and_a_port() {
        let read = listener("tcp:443");
        assert_eq!((read.protocol, read.port.get()), (Protocol::Tcp, 443));
        for text in ["udp:1", "udp:1194", "tcp:65535"] {
            assert_eq!(listener(text).to_string(), text);
            assert!((Listener::MIN_LENGTH..=Listener::MAX_LENGTH).contains(&text.len()));
        }
        for bad in [
            "",
            "udp",
            "1194",
            "udp:",
            ":1194",
            "udp:0",
            "udp:65536",
            "udp:+1",
            "udp:01",
            "UDP:1194",
            "udp: 1194",
            "udp:1194 ",
            "udp:1194:1194",
            "icmp:1",
            "udp:1194,tcp:443",
        ] {
            assert!(bad.parse::<Listener>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn those_of_udp_come_first_and_otherwise_in_the_order_given() {
        let listeners: Listeners = "tcp:443,udp:1194,tcp:80,udp:53".parse().expect("listeners");
        assert_eq!(listeners.to_string(), "udp:1194,udp:53,tcp:443,tcp:80");
        assert_eq!(listeners.first(), listener("udp:1194"));
        assert_eq!((listeners.len(), listeners.is_one()), (4, false));
        let same: Listeners = listeners.to_string().parse().expect("listeners");
        assert_eq!(same, listeners);

        let one = Listeners::from(listener("tcp:443"));
        assert_eq!((one.len(), one.is_one(), one.first()), (1, true, listener("tcp:443")));
        assert_eq!(one.iter().collect::<Vec<_>>(), [listener("tcp:443")]);
    }

    #[test]
    fn none_more_than_four_and_one_that_is_named_twice_are_refused() {
        assert_eq!(Listeners::new(Vec::new()), Err(InvalidListeners::Empty));
        let five = "udp:1,udp:2,udp:3,udp:4,udp:5".parse::<Listeners>();
        assert_eq!(five, Err(InvalidListeners::TooMany { found: 5 }));
        let twice = "tcp:443,udp:1194,tcp:443".parse::<Listeners>();
        assert_eq!(twice, Err(InvalidListeners::Twice(listener("tcp:443"))));
        assert!("udp:443,tcp:443".parse::<Listeners>().is_ok(), "two transports");
        for bad in ["", ",", "udp:1194,", "udp:1194, tcp:443", "udp:1194;tcp:443"] {
            let refused = bad.parse::<Listeners>();
            assert!(matches!(refused, Err(InvalidListeners::Malformed(_))), "{bad:?}");
        }
    }

    #[test]
    fn on_the_wire_they_are_a_list_of_texts_that_is_checked() {
        let listeners: Listeners = "udp:1194,tcp:443".parse().expect("listeners");
        let text = json!(["udp:1194", "tcp:443"]);
        assert_eq!(serde_json::to_value(&listeners).expect("json"), text);
        assert_eq!(serde_json::from_value::<Listeners>(text).expect("listeners"), listeners);
        for (odd, why) in [
            (json!([]), "at least one"),
            (json!(["udp:1", "udp:2", "udp:3", "udp:4", "udp:5"]), "at most 4"),
            (json!(["udp:1", "udp:1"]), "twice"),
            (json!(["udp:0"]), "udp or tcp"),
            (json!("udp:1"), "invalid type"),
        ] {
            let refused = serde_json::from_value::<Listeners>(odd).expect_err(why).to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
