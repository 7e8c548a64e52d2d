//! The settings of an HTTP server.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::{Cli, ConfigError, Setting};
use vpnmanager_runtime::descriptors;

const DURATION: &str = "a duration such as 10s, longer than 0s";
const COUNT: &str = "a number from 1 on";

/// The settings of [`HttpConfig`], for a service's list of tables.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "http.head_timeout",
        "HTTP_HEAD_TIMEOUT",
        "A request's head must be complete after this time",
        DURATION,
    )
    .default("10s"),
    Setting::new(
        "http.body_timeout",
        "HTTP_BODY_TIMEOUT",
        "A request's body must be complete this long after its head",
        DURATION,
    )
    .default("30s"),
    Setting::new(
        "http.idle_timeout",
        "HTTP_IDLE_TIMEOUT",
        "A connection waits this long for its next request",
        DURATION,
    )
    .default("75s"),
    Setting::new(
        "http.max_connections",
        "HTTP_MAX_CONNECTIONS",
        "The most connections at once",
        COUNT,
    )
    .default("2048"),
    Setting::new(
        "http.max_connections_per_address",
        "HTTP_MAX_CONNECTIONS_PER_ADDRESS",
        "The most connections at once of one address (IPv6: of one /64)",
        COUNT,
    )
    .default("256"),
];

/// The `http` section of a service's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpConfig {
    /// HTTP_HEAD_TIMEOUT: from the first byte of a head until it is complete, and before that from the start of a connection to that byte.
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    /// HTTP_BODY_TIMEOUT: from when the key was checked until the body is complete.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// HTTP_IDLE_TIMEOUT: from an answer until the first byte of the next request.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// HTTP_MAX_CONNECTIONS. Fewer are taken when the process may not open so many files; see [`Self::connections`].
    pub max_connections: NonZeroUsize,
    /// HTTP_MAX_CONNECTIONS_PER_ADDRESS.
    pub max_connections_per_address: NonZeroUsize,
}

impl HttpConfig {
    /// The connections taken at once: `max_connections`, or what the limit of open files leaves after [`descriptors::RESERVED`], or half
    /// of that limit where it is smaller than twice the reserve.
    #[must_use]
    pub fn connections(&self, file_limit: u64) -> usize {
        let left = file_limit
            .saturating_sub(descriptors::RESERVED)
            .max(file_limit / 2)
            .max(1);
        self.max_connections
            .get()
            .min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Checks the values.
    ///
    /// # Errors
    /// Names the first time that is 0.
    pub fn check<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        for (key, duration) in [
            ("http.head_timeout", self.head_timeout),
            ("http.body_timeout", self.body_timeout),
            ("http.idle_timeout", self.idle_timeout),
        ] {
            if duration.is_zero() {
                return Err(cli.reject(key, "no request would be in time"));
            }
        }
        Ok(())
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            max_connections: const { NonZeroUsize::new(2048).expect("not 0") },
            max_connections_per_address: const { NonZeroUsize::new(256).expect("not 0") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_and_bus_keep_their_file_descriptors() {
        let config = HttpConfig::default();
        for (file_limit, expected) in [
            (u64::MAX, 2048),
            (1 << 20, 2048),
            (1024, 896),
            (256, 128),
            (100, 50),
            (0, 1),
        ] {
            assert_eq!(config.connections(file_limit), expected, "{file_limit}");
        }
    }
}
