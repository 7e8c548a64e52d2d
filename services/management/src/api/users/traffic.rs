//! What a user has used of its quota, in the API.

use poem_openapi::Object;
use vpnmanager_openapi::time::Timestamp;

use crate::domain::quota::Counted;

/// What a user has used of its quota, be it its own or that of its group.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct UserTraffic {
    /// Bytes in both directions together, on all servers and devices, in this period; without those that were forgiven. Servers tell of them every
    /// five seconds while there is traffic.
    used: u64,
    /// The bytes that the user may have in a period.
    quota: u64,
    /// When this period began: a midnight in UTC. Absent: it has no end, and all that is known of the user's traffic counts.
    period_began: Option<Timestamp>,
    /// When the next one begins.
    period_ends: Option<Timestamp>,
}

impl UserTraffic {
    pub(super) fn of(counted: &Counted) -> Self {
        let Counted { quota, span, used } = counted;
        let count = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
        Self {
            used: count(*used),
            quota: count(quota.bytes),
            period_began: span.began_at().map(Timestamp::from),
            period_ends: span.ends_at().map(Timestamp::from),
        }
    }
}
