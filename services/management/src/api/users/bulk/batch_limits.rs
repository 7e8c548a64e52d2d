//! Own limits in an item of a batch. Their bounds are checked with the item, so that a value that is not good fails no other one.

use poem_openapi::Object;
use vpnmanager_openapi::Clearable;

use super::limits::{SaidLimits, SaidQuota};

/// Own values of a user. What is left out stays as it is; `null`: that of the group holds.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "BulkLimits")]
pub(super) struct BatchLimits {
    /// The most devices of the user, 1 to 16.
    devices: Clearable<i64>,
    /// The most devices of the user that are connected at the same time, over the whole fleet, 1 to 16.
    sessions: Clearable<i64>,
    /// What happens beyond the number of sessions that holds: `oldest_ends` or `newest_ends`.
    session_excess: Clearable<String>,
    /// The traffic of the user in a period, as a whole.
    traffic: Clearable<BatchQuota>,
}

/// How much traffic the user may have in a period.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "BulkQuota")]
struct BatchQuota {
    /// Bytes in both directions together, on all servers and with all devices: 1 to 10^15.
    bytes: i64,
    /// How long a period is: `day`, `week`, `month`, which is meant when it is left out, or `none`.
    period: Option<String>,
    /// The day on which a `month` begins, 1 to 28; 1 when it is left out. Other periods have none.
    reset_day: Option<i64>,
}

impl BatchLimits {
    /// What an item says, if the whole object is said: `null` takes every own value away.
    pub(super) fn said(field: Clearable<Self>) -> SaidLimits {
        match field.said() {
            None => SaidLimits::default(),
            Some(None) => SaidLimits::all_taken(),
            Some(Some(limits)) => limits.into_said(),
        }
    }

    fn into_said(self) -> SaidLimits {
        let number = |own: Option<i64>| own.map(|number| number.to_string());
        SaidLimits {
            devices: self.devices.said().map(number),
            sessions: self.sessions.said().map(number),
            session_excess: self.session_excess.said(),
            traffic: self.traffic.said().map(|own| own.map(BatchQuota::into_said)),
        }
    }
}

impl BatchQuota {
    fn into_said(self) -> SaidQuota {
        SaidQuota {
            bytes: Some(self.bytes.to_string()),
            period: self.period,
            reset_day: self.reset_day.map(|day| day.to_string()),
        }
    }
}
