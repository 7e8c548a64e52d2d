//! What certificates are for, and what they are good for at a moment.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use vpnmanager_entities::certificate::Kind;

use super::node::renews_at;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateKind {
    /// The fleet's certificate authority.
    Ca,
    /// The OpenVPN server of a node.
    Node,
    /// The bus: its own authority, and its server.
    Bus,
    /// The HTTPS of a replica of management.
    Https,
    /// A device of a user.
    Client,
}

/// Text that is none of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be ca, node, bus, https or client")]
pub struct UnknownKind;

impl CertificateKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ca, Self::Node, Self::Bus, Self::Https, Self::Client];

    /// The word for it in the API and in the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::Node => "node",
            Self::Bus => "bus",
            Self::Https => "https",
            Self::Client => "client",
        }
    }

    /// The kind of rows that hold such certificates; `None`: credentials hold them.
    pub fn of_row(self) -> Option<Kind> {
        match self {
            Self::Ca => Some(Kind::Ca),
            Self::Node => Some(Kind::Node),
            Self::Bus => Some(Kind::Bus),
            Self::Https => Some(Kind::Https),
            Self::Client => None,
        }
    }

    /// When one that is valid in this time is renewed, if that happens by itself. That of HTTPS is where management made it.
    pub fn renews_at(self, not_before: DateTime<Utc>, not_after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Node | Self::Https => Some(renews_at(not_before, not_after)),
            Self::Ca | Self::Bus | Self::Client => None,
        }
    }

    /// What is to be done before one ends, for people.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Ca => "then no certificate of it is accepted any more, and every user needs a new profile",
            Self::Node => {
                "its agent renews it by itself: see in the log of the agent why it did not, and that it is of a release that does"
            }
            Self::Bus => {
                "run vpnmanager-management bus-init again and restart nats-server; for the authority of the bus make a new bus"
            }
            Self::Https => {
                "renew it in the file that TLS_CERT_FILE names; one that management made it renews by itself: see in its log why it did not"
            }
            Self::Client => "give these devices new profiles",
        }
    }
}

impl From<Kind> for CertificateKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ca => Self::Ca,
            Kind::Node => Self::Node,
            Kind::Bus => Self::Bus,
            Kind::Https => Self::Https,
        }
    }
}

impl FromStr for CertificateKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownKind)
    }
}

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateState {
    /// It is in use.
    Valid,
    /// It has ended.
    Expired,
    /// Its credential was revoked.
    Revoked,
    /// Another one has taken its place.
    Replaced,
}

/// Text that is none of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be valid, expired, revoked or replaced")]
pub struct UnknownState;

impl CertificateState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Valid, Self::Expired, Self::Revoked, Self::Replaced];

    /// The word for it in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
        }
    }

    /// That of one which nobody has revoked or replaced.
    pub fn by_end(not_after: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        match not_after > now {
            true => Self::Valid,
            false => Self::Expired,
        }
    }
}

impl FromStr for CertificateState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let mut states = Self::ALL.into_iter();
        states.find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_read_again() {
        for kind in CertificateKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for state in CertificateState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("server".parse::<CertificateKind>(), Err(UnknownKind));
        assert_eq!("dead".parse::<CertificateState>(), Err(UnknownState));
    }

    #[test]
    fn every_row_has_the_kind_that_it_is_found_by() {
        for kind in CertificateKind::ALL {
            let back = kind.of_row().map(CertificateKind::from);
            assert_eq!(back, (kind != CertificateKind::Client).then_some(kind));
        }
    }
}
