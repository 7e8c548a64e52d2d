//! Streams of events.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Setting;

const COUNT: &str = "a number from 1 on";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "events.max_streams",
        "EVENTS_MAX_STREAMS",
        "The most streams of events (GET /api/events) that are open at once",
        COUNT,
    )
    .default("1000"),
    Setting::new(
        "events.max_streams_per_key",
        "EVENTS_MAX_STREAMS_PER_KEY",
        "The same for one API key",
        COUNT,
    )
    .default("500"),
];

/// Streams of events.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct EventsConfig {
    /// EVENTS_MAX_STREAMS.
    pub max_streams: NonZeroU32,
    /// EVENTS_MAX_STREAMS_PER_KEY.
    pub max_streams_per_key: NonZeroU32,
}
