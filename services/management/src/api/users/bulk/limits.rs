//! Own limits in an entry of a list, as they were sent: checked here, by the rules of the operations for one user.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use poem_openapi::types::ParseFromParameter as _;
use vpnmanager_openapi::problem::ApiError;

use crate::api::limits::{Excess, Period, QuotaBody};
use crate::domain::own_limits::OwnLimitsChange;
use crate::domain::quota::{MOST_BYTES, Quota};

/// Where entries have the values, and the columns of files that hold them.
pub(super) const DEVICES: &str = "limits.devices";
pub(super) const SESSIONS: &str = "limits.sessions";
pub(super) const SESSION_EXCESS: &str = "limits.session_excess";
const TRAFFIC: &str = "limits.traffic";
pub(super) const BYTES: &str = "limits.traffic.bytes";
pub(super) const PERIOD: &str = "limits.traffic.period";
pub(super) const RESET_DAY: &str = "limits.traffic.reset_day";

/// `None`: not said. `Some(None)`: the own value is taken away.
pub(super) type Said<T> = Option<Option<T>>;

/// What an entry says of own limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SaidLimits {
    pub(super) devices: Said<String>,
    pub(super) sessions: Said<String>,
    pub(super) session_excess: Said<String>,
    pub(super) traffic: Said<SaidQuota>,
}

/// What an entry says of a quota.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SaidQuota {
    pub(super) bytes: Option<String>,
    pub(super) period: Option<String>,
    pub(super) reset_day: Option<String>,
}

impl SaidLimits {
    /// Every own value is taken away.
    pub(super) fn all_taken() -> Self {
        Self {
            devices: Some(None),
            sessions: Some(None),
            session_excess: Some(None),
            traffic: Some(None),
        }
    }

    /// What changes, or what is wrong with it.
    pub(super) fn into_change(self) -> Result<OwnLimitsChange, ApiError> {
        Ok(OwnLimitsChange {
            devices: checked(self.devices, |text| number(DEVICES, &text, 1..=16))?,
            sessions: checked(self.sessions, |text| number(SESSIONS, &text, 1..=16))?,
            session_excess: checked(self.session_excess, |text| excess(&text))?.map(|own| own.map(Excess::into_excess)),
            quota: checked(self.traffic, quota)?,
        })
    }

    /// A value that is said.
    pub(super) fn first_value(&self) -> Option<&'static str> {
        let said = [
            (DEVICES, self.devices.is_some()),
            (SESSIONS, self.sessions.is_some()),
            (SESSION_EXCESS, self.session_excess.is_some()),
            (TRAFFIC, self.traffic.is_some()),
        ];
        said.into_iter().find_map(|(field, is_said)| is_said.then_some(field))
    }
}

fn checked<T, U>(said: Said<T>, check: impl FnOnce(T) -> Result<U, ApiError>) -> Result<Said<U>, ApiError> {
    match said {
        None => Ok(None),
        Some(None) => Ok(Some(None)),
        Some(Some(value)) => Ok(Some(Some(check(value)?))),
    }
}

fn number<T: FromStr + PartialOrd + Display>(
    field: &'static str,
    text: &str,
    range: RangeInclusive<T>,
) -> Result<T, ApiError> {
    let number = text.parse::<T>().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        ApiError::invalid(field, format!("must be a whole number from {least} to {most}"))
    })
}

fn excess(text: &str) -> Result<Excess, ApiError> {
    let excess = Excess::parse_from_parameter(text).ok();
    excess.ok_or_else(|| ApiError::invalid(SESSION_EXCESS, "must be one of oldest_ends, newest_ends"))
}

fn quota(said: SaidQuota) -> Result<Quota, ApiError> {
    let bytes = said.bytes.ok_or_else(|| {
        ApiError::invalid(
            BYTES,
            "is missing: a quota is said with its bytes, its period and the day on which that begins",
        )
    })?;
    let bytes = number(BYTES, &bytes, 1..=MOST_BYTES)?;
    let period = match said.period {
        Some(text) => Period::parse_from_parameter(&text)
            .ok()
            .ok_or_else(|| ApiError::invalid(PERIOD, "must be one of day, week, month, none"))?,
        None => Period::default(),
    };
    let reset_day = said.reset_day.map(|text| number(RESET_DAY, &text, 1..=28));
    QuotaBody::new(bytes, period, reset_day.transpose()?).into_quota(TRAFFIC)
}

#[cfg(test)]
mod tests {
    use vpnmanager_entities::group::{SessionExcess, TrafficPeriod};

    use super::*;

    fn said(text: &str) -> Said<String> {
        Some(Some(text.to_owned()))
    }

    fn quota_of(bytes: Option<&str>, period: Option<&str>, reset_day: Option<&str>) -> SaidLimits {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        SaidLimits {
            traffic: Some(Some(SaidQuota {
                bytes: owned(bytes),
                period: owned(period),
                reset_day: owned(reset_day),
            })),
            ..SaidLimits::default()
        }
    }

    #[test]
    fn what_is_said_changes_and_what_is_left_out_stays() {
        let some = SaidLimits {
            devices: said("2"),
            sessions: Some(None),
            session_excess: said("newest_ends"),
            traffic: None,
        };
        let expected = OwnLimitsChange {
            devices: Some(Some(2)),
            sessions: Some(None),
            session_excess: Some(Some(SessionExcess::NewestEnds)),
            quota: None,
        };
        assert_eq!(some.into_change().ok(), Some(expected));
        assert_eq!(
            SaidLimits::all_taken().into_change().ok(),
            Some(OwnLimitsChange::NONE_LEFT)
        );
        for (period, reset_day, expected) in [
            (None, None, (TrafficPeriod::Month, 1)),
            (None, Some("28"), (TrafficPeriod::Month, 28)),
            (Some("none"), None, (TrafficPeriod::Endless, 1)),
        ] {
            let change = quota_of(Some("1000"), period, reset_day).into_change().ok();
            let quota = change.and_then(|change| change.quota).flatten().expect("a quota");
            assert_eq!(
                (quota.bytes, quota.period, quota.reset_day),
                (1_000, expected.0, expected.1)
            );
        }
    }

    #[test]
    fn a_bad_value_is_named_with_its_place() {
        let devices = |text: &str| SaidLimits {
            devices: said(text),
            ..SaidLimits::default()
        };
        let sessions = |text: &str| SaidLimits {
            sessions: said(text),
            ..SaidLimits::default()
        };
        let excess = |text: &str| SaidLimits {
            session_excess: said(text),
            ..SaidLimits::default()
        };
        for (limits, status, field) in [
            (devices("0"), 400, DEVICES),
            (devices("17"), 400, DEVICES),
            (devices("two"), 400, DEVICES),
            (sessions("-1"), 400, SESSIONS),
            (sessions("9223372036854775808"), 400, SESSIONS),
            (excess("all_end"), 400, SESSION_EXCESS),
            (quota_of(None, Some("day"), None), 400, BYTES),
            (quota_of(Some("0"), None, None), 400, BYTES),
            (quota_of(Some("1000000000000001"), None, None), 400, BYTES),
            (quota_of(Some("1"), Some("year"), None), 400, PERIOD),
            (quota_of(Some("1"), None, Some("29")), 400, RESET_DAY),
            (quota_of(Some("1"), Some("day"), Some("1")), 409, RESET_DAY),
        ] {
            let refusal = limits.clone().into_change().expect_err("refused");
            let problem = refusal.problem();
            let named = problem.errors.first().map(|error| error.field.as_str());
            assert_eq!((problem.status, named), (status, Some(field)), "{limits:?}");
        }
    }
}
