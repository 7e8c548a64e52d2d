//! A traffic quota in the API: the body of requests, and that of answers.

use poem_openapi::{Enum, Object};
use vpnmanager_entities::group::TrafficPeriod;
use vpnmanager_openapi::problem::ApiError;

use crate::domain::quota::Quota;

/// How much traffic each member may have in a period.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "WantedQuota")]
pub(in crate::api) struct QuotaBody {
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
pub(in crate::api) struct QuotaView {
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
pub(in crate::api) enum Period {
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

impl Period {
    fn into_period(self) -> TrafficPeriod {
        match self {
            Self::Day => TrafficPeriod::Day,
            Self::Week => TrafficPeriod::Week,
            Self::Month => TrafficPeriod::Month,
            Self::None => TrafficPeriod::Endless,
        }
    }
}

impl QuotaBody {
    /// The quota, which requests have in this field; 409 for a day that the period does not have.
    pub(in crate::api) fn into_quota(self, field: &str) -> Result<Quota, ApiError> {
        let period = self.period.into_period();
        if self.reset_day.is_some() && period != TrafficPeriod::Month {
            return Err(ApiError::conflict(
                format!("{field}.reset_day"),
                "only a month begins on a day of your choice: leave it out, or say \"period\": \"month\"",
            ));
        }
        Ok(Quota {
            bytes: self.bytes,
            period,
            reset_day: self.reset_day.unwrap_or(1),
        })
    }

    /// Of values that were checked where they were read: as in the descriptions of its fields.
    pub(in crate::api) fn new(bytes: i64, period: Period, reset_day: Option<i16>) -> Self {
        Self {
            bytes,
            period,
            reset_day,
        }
    }

    /// An example for descriptions.
    pub(in crate::api) fn example() -> Self {
        Self {
            bytes: 50_000_000_000,
            period: Period::Month,
            reset_day: Some(1),
        }
    }
}

impl QuotaView {
    pub(in crate::api) fn of(quota: &Quota) -> Self {
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
