//! The parts of a stack that can be stopped and started alone.

use std::{fmt, str::FromStr};

/// One part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The management service.
    Management,
    /// One more management beside it: 2, 3, ...
    Replica(u8),
    /// nats-server.
    Nats,
    /// PostgreSQL.
    Postgres,
    /// The agent of this node; its OpenVPN keeps running without it.
    Node(u8),
    /// The OpenVPN server of this node, with a process for each of its listeners; its agent starts them again.
    Openvpn(u8),
}

/// No part has this name.
#[derive(Debug, thiserror::Error)]
#[error("no part {0:?}: expected management, replica-N, nats, postgres, node-N or openvpn-N")]
pub struct UnknownPart(String);

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(text: &str) -> Result<Self, UnknownPart> {
        let unknown = || UnknownPart(text.to_owned());
        let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0).ok_or_else(unknown);
        match text {
            "management" => Ok(Self::Management),
            "nats" => Ok(Self::Nats),
            "postgres" => Ok(Self::Postgres),
            other => match other.rsplit_once('-') {
                Some(("replica", digits)) => number(digits).map(Self::Replica),
                Some(("node", digits)) => number(digits).map(Self::Node),
                Some(("openvpn", digits)) => number(digits).map(Self::Openvpn),
                _ => Err(unknown()),
            },
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Management => f.write_str("management"),
            Self::Replica(number) => write!(f, "replica-{number}"),
            Self::Nats => f.write_str("nats"),
            Self::Postgres => f.write_str("postgres"),
            Self::Node(number) => write!(f, "node-{number}"),
            Self::Openvpn(number) => write!(f, "openvpn-{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn names_round_trip() {
        for part in [
            Part::Management,
            Part::Replica(2),
            Part::Nats,
            Part::Postgres,
            Part::Node(1),
            Part::Openvpn(12),
        ] {
            assert_eq!(part.to_string().parse::<Part>().unwrap(), part);
        }
        for wrong in ["", "node", "node-", "node-0", "node-x", "openvpn-999", "redis"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }
}
