//! How long requests are known, and claims valid.

use std::time::Duration;

/// How long an answer is known.
pub const KNOWN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a claim is valid of which nothing is heard.
pub const LEASE: Duration = Duration::from_secs(30);

/// How often a claim is renewed while its request is being worked on.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);
