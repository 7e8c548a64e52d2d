//! Where clients reach a node, and where nodes reach the bus: both may change while the fleet runs, so each side tells the other at every
//! handshake.

use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    bounded::List,
    commands::{Host, Protocol},
    ids::NodeId,
    listeners::{Listener, Listeners},
};

/// Where clients reach a node, as its agent is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// What clients dial; `None`: the agent does not know, and what management knows stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// The port that clients dial, of the first of [`Self::listeners`]. Management of before listeners reads this one alone.
    pub port: NonZeroU16,
    /// The transport of its tunnels.
    pub protocol: Protocol,
    /// All its listeners. `None`: only that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Listeners>,
    /// The pool that its agent names. Management moves a node to another pool only when an operator says so.
    pub pool: NodeId,
    /// The most clients that it accepts, on all its listeners together.
    pub capacity: NonZeroU32,
}

impl Endpoint {
    /// All its listeners.
    #[must_use]
    pub fn listeners(&self) -> Listeners {
        self.listeners.clone().unwrap_or_else(|| {
            let only = Listener {
                protocol: self.protocol,
                port: self.port,
            };
            only.into()
        })
    }
}

/// Where nodes reach the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusPlace {
    /// `tls://host:port`, or `nats://host:port` where the bus has no TLS; a node tries all of them.
    #[serde(
        serialize_with = "List::<{ BusPlace::MOST_URLS }>::serialize",
        deserialize_with = "urls"
    )]
    pub urls: Vec<String>,
    /// The CA of the servers' certificates, PEM; `None`: the bus has no TLS, or the system's CAs are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

impl BusPlace {
    /// The most URLs of one bus.
    pub const MOST_URLS: usize = 16;
    /// The most characters of a URL: those of the longest host (RFC 1123), the scheme and the port.
    pub const LONGEST_URL: usize = 268;

    /// Whether every connection to it is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.urls.iter().all(|url| url.starts_with("tls://"))
    }

    /// The URLs, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.urls.join(", ")
    }

    /// Whether it can be tried at all: at least one URL, at most [`Self::MOST_URLS`], and each is one.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let is_url = |url: &String| {
            let known = url.starts_with("tls://") || url.starts_with("nats://");
            let server = url.parse::<async_nats::ServerAddr>();
            let is_named = server.is_ok_and(|server| !server.host().is_empty());
            known && url.bytes().all(|byte| byte.is_ascii_graphic()) && is_named
        };
        (1..=Self::MOST_URLS).contains(&self.urls.len()) && self.urls.iter().all(is_url)
    }
}

fn urls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let urls = List::<{ BusPlace::MOST_URLS }>::deserialize::<String, D>(deserializer)?;
    // RFC 3986, section 2: a URL is of graphic ASCII characters.
    let is_one = |url: &String| url.len() <= BusPlace::LONGEST_URL && url.bytes().all(|byte| byte.is_ascii_graphic());
    match urls.iter().all(is_one) {
        true => Ok(urls),
        false => Err(D::Error::custom(format_args!(
            "a URL of the bus must have at most {} characters, graphic ones of ASCII",
            BusPlace::LONGEST_URL
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(urls: &[&str]) -> BusPlace {
        BusPlace {
            urls: urls.iter().map(|&url| url.to_owned()).collect(),
            ca: None,
        }
    }

    #[test]
    fn an_agent_of_before_listeners_has_one() {
        let told = |listeners: Option<&str>| Endpoint {
            host: None,
            port: NonZeroU16::new(443).unwrap(),
            protocol: Protocol::Tcp,
            listeners: listeners.map(|text| text.parse().unwrap()),
            pool: "default".parse().unwrap(),
            capacity: NonZeroU32::new(1000).unwrap(),
        };
        assert_eq!(told(None).listeners().to_string(), "tcp:443");
        let all = told(Some("udp:1194,tcp:443"));
        assert_eq!(all.listeners().to_string(), "udp:1194,tcp:443");

        let older = serde_json::to_value(told(None)).unwrap();
        assert_eq!(older.get("listeners"), None);
        assert_eq!(serde_json::from_value::<Endpoint>(older).unwrap(), told(None));
    }

    #[test]
    fn only_addresses_of_a_bus_are_tried() {
        for usable in [
            &["tls://bus:4222"][..],
            &["nats://10.0.0.1:4222", "tls://[2001:db8::1]:4222"],
        ] {
            assert!(place(usable).is_usable(), "{usable:?}");
        }
        for unusable in [
            &[][..],
            &["http://bus:4222"],
            &["tls://"],
            &["tls://bus:port"],
            &["tls://bus:4222", "tls://bus\n:4222"],
            &["tls://bus:4222"; 17],
        ] {
            assert!(!place(unusable).is_usable(), "{unusable:?}");
        }
        assert!(place(&["tls://a:1", "tls://b:1"]).is_encrypted());
        assert!(!place(&["tls://a:1", "nats://b:1"]).is_encrypted());
    }
}
