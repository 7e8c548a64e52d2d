//! How much callers of the HTTP API may ask at once.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Setting;

const COUNT: &str = "a number from 1 on";

/// The settings of [`CallersConfig`].
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "callers.max_waits",
        "CALLERS_MAX_WAITS",
        "Requests with ?wait= that wait at once; further ones are answered without waiting",
        COUNT,
    )
    .default("1000"),
    Setting::new(
        "callers.max_waits_per_key",
        "CALLERS_MAX_WAITS_PER_KEY",
        "The same for one API key",
        COUNT,
    )
    .default("200"),
    Setting::new(
        "callers.unknown_keys",
        "CALLERS_UNKNOWN_KEYS",
        "Keys that are not in use which one address may try in 10 s before its tries are slowed",
        COUNT,
    )
    .default("20"),
    Setting::new(
        "callers.keyless_requests",
        "CALLERS_KEYLESS_REQUESTS",
        "Registrations, questions about a standing and requests for links, without a key, that one address may send in 10 s",
        COUNT,
    )
    .default("100"),
    Setting::new(
        "callers.requests_per_key",
        "CALLERS_REQUESTS_PER_KEY",
        "Requests that one API key may send to this replica in 10 s, all at once or evenly; further ones are 429",
        COUNT,
    )
    .default("20000"),
];

/// How much callers may ask at once.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct CallersConfig {
    /// CALLERS_MAX_WAITS.
    pub max_waits: NonZeroU32,
    /// CALLERS_MAX_WAITS_PER_KEY.
    pub max_waits_per_key: NonZeroU32,
    /// CALLERS_UNKNOWN_KEYS: by one IPv4 address or IPv6 /64.
    pub unknown_keys: NonZeroU32,
    /// CALLERS_KEYLESS_REQUESTS: by one IPv4 address or IPv6 /64.
    pub keyless_requests: NonZeroU32,
    /// CALLERS_REQUESTS_PER_KEY.
    pub requests_per_key: NonZeroU32,
}
