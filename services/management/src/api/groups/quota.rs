//! The traffic quota of a group in the API: the body of requests, and that of answers.

use poem_openapi::{Enum, Object};
use vpnmanager_entities::group::TrafficPeriod;
use vpnmanager_openapi::problem::ApiError;

use crate::domain::quota::Quota;

/// How much traffic each member may have in a period.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "WantedQuota")]
pub(super) struct QuotaBody {
    /// Bytes in both directions together, on all servers and with all devices: up to 10^15.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000000000000")))]
    bytes: i64,
    /// How long a period is. It begins at midnight, in UTC.
    #[oai(default)]
    period: Period,
    /// The day on which a `month` begins; 1 when it is left out. Other periods have none.
    #[oai(validator(minimum(value = "1"), maximum(value = "28")))]
    reset_day: Option<i16>,
}

/// How much traffic each member may have in a period.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "Quota")]
pub(super) struct QuotaView {
    /// Bytes in both directions together, on all servers and with all devices.
    bytes: i64,
    /// How long a period is. It begins at midnight, in UTC.
    period: Period,
    /// The day on which a `month` begins; absent for other periods.
    reset_day: Option<i16>,
}

/// How long a quota is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", rename = "QuotaPeriod")]
enum Period {
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month, from `reset_day` on.
    #[default]
    Month,
    /// For ever: what was used never comes back, unless it is forgiven.
    None,
}

impl QuotaBody {
    /// The quota; 409 for a day that the period does not have.
    pub(super) fn into_quota(self) -> Result<Quota, ApiError> {
        let period = match self.period {
            Period::Day => TrafficPeriod::Day,
            Period::Week => TrafficPeriod::Week,
            Period::Month => TrafficPeriod::Month,
            Period::None => TrafficPeriod::Endless,
        };
        if self.reset_day.is_some() && period != TrafficPeriod::Month {
            return Err(ApiError::conflict(
                "traffic.reset_day",
                "only a month begins on a day of your choice: leave it out, or say \"period\": \"month\"",
            ));
        }
        Ok(Quota {
            bytes: self.bytes,
            period,
            reset_day: self.reset_day.unwrap_or(1),
        })
    }

    /// An example for descriptions.
    pub(super) fn example() -> Self {
        Self {
            bytes: 50_000_000_000,
            period: Period::Month,
            reset_day: Some(1),
        }
    }
}

impl QuotaView {
    pub(super) fn of(quota: &Quota) -> Self {
        let (period, reset_day) = match quota.period {
            TrafficPeriod::Day => (Period::Day, None),
            TrafficPeriod::Week => (Period::Week, None),
            TrafficPeriod::Month => (Period::Month, Some(quota.reset_day)),
            TrafficPeriod::Endless => (Period::None, None),
        };
        Self {
            bytes: quota.bytes,
            period,
            reset_day,
        }
    }
}
