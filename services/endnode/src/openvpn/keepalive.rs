//! How soon a server and its clients notice that the other side is gone.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

/// What the interval may be, in seconds: within a minute most routers forget a way of UDP that is not used.
const INTERVALS: RangeInclusive<u16> = 1..=60;
/// The longest timeout, in seconds.
const LONGEST_TIMEOUT: u16 = 300;

/// `--keepalive` of OpenVPN's manual, in seconds, written `1 7`. Each side sends a ping when it sent nothing for the interval. A client that
/// hears nothing for the timeout looks for another server; a server drops a client after twice that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Keepalive {
    interval: u16,
    timeout: u16,
}

/// Not an interval and a timeout that clients and servers can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no interval and timeout in seconds such as `1 7`: the interval is 1 to 60, the timeout more than twice as long, 300 at most"
)]
pub struct InvalidKeepalive {
    text: String,
}

impl Default for Keepalive {
    /// A ping each second, so that seven must be lost in a row before a live node is taken for a dead one.
    fn default() -> Self {
        Self {
            interval: 1,
            timeout: 7,
        }
    }
}

impl FromStr for Keepalive {
    type Err = InvalidKeepalive;

    fn from_str(text: &str) -> Result<Self, InvalidKeepalive> {
        let invalid = || InvalidKeepalive { text: text.to_owned() };
        let (interval, timeout) = text.split_once(' ').ok_or_else(invalid)?;
        let read = Self {
            interval: interval.parse().map_err(|_| invalid())?,
            timeout: timeout.parse().map_err(|_| invalid())?,
        };
        // `01` and `+1` are numbers too.
        match read.to_string() == text && read.is_fit() {
            true => Ok(read),
            false => Err(invalid()),
        }
    }
}

impl Keepalive {
    /// With twice the interval one lost ping would be a dead node.
    fn is_fit(self) -> bool {
        let is_twice = self.timeout > self.interval.saturating_mul(2);
        INTERVALS.contains(&self.interval) && is_twice && self.timeout <= LONGEST_TIMEOUT
    }
}

impl TryFrom<String> for Keepalive {
    type Error = InvalidKeepalive;

    fn try_from(text: String) -> Result<Self, InvalidKeepalive> {
        text.parse()
    }
}

impl From<Keepalive> for String {
    fn from(keepalive: Keepalive) -> Self {
        keepalive.to_string()
    }
}

impl fmt::Display for Keepalive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.interval, self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_and_a_timeout_of_more_than_twice_as_long_are_taken() {
        for good in ["1 3", "1 7", "10 60", "60 121", "60 300"] {
            assert_eq!(good.parse::<Keepalive>().expect(good).to_string(), good);
        }
        assert_eq!(Keepalive::default().to_string(), "1 7");
        for bad in [
            "",
            "1",
            "0 7",
            "1 2",
            "10 20",
            "61 200",
            "60 120",
            "60 301",
            "01 7",
            "+1 7",
            "1 07",
            "-1 7",
            "1  7",
            " 1 7",
            "1 7 ",
            "1 7 9",
            "1 7\npush x",
            "1,7",
            "1s 7s",
            "1 65536",
        ] {
            assert!(bad.parse::<Keepalive>().is_err(), "{bad:?} was accepted");
        }
    }
}
