//! Users by state.

use std::time::Instant;

use sea_orm::FromQueryResult;
use vpnmanager_runtime::metrics::{Catalogue, Gauge, Gauges};

/// How many users are in which state; each is in one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct UserCounts {
    /// They may log in.
    pub active: i64,
    /// An operator suspended them.
    pub suspended: i64,
    /// Their time is over.
    pub expired: i64,
    /// They are over a quota.
    pub over_quota: i64,
    /// They are removed, and some node still holds them.
    pub removing: i64,
    /// Those of all living ones that some node does not hold as they should be.
    pub unsynced: i64,
}

/// The figures of users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct UserMetrics {
    users: Gauges<1>,
    unsynced: Gauge,
    counting: Gauge,
}

impl UserMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            users: catalogue.gauges(
                "vpnmanager_users",
                "Users by state, counted once a minute at most",
                ["state"],
            ),
            unsynced: catalogue.gauge(
                "vpnmanager_users_unsynced",
                "Living users that some node does not hold as they should be",
            ),
            counting: catalogue.gauge(
                "vpnmanager_users_counting_seconds",
                "How long counting the users took the last time",
            ),
        }
    }

    /// They were counted, beginning at `began`.
    pub fn counted(&self, counts: &UserCounts, began: Instant) {
        for (state, users) in [
            ("active", counts.active),
            ("suspended", counts.suspended),
            ("expired", counts.expired),
            ("over_quota", counts.over_quota),
            ("removing", counts.removing),
        ] {
            self.users.set([state], users as f64);
        }
        self.unsynced.set(counts.unsynced as f64);
        self.counting.set(began.elapsed().as_secs_f64());
    }
}
