//! Own values in an entry of a list, as they were sent: checked here, by the rules of the operations for one user.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use poem_openapi::types::ParseFromParameter as _;
use vpnmanager_nats::groups::{GroupRules, Reach, Speed};
use vpnmanager_openapi::problem::ApiError;

use crate::api::entries::PrefixText;
use crate::api::limits::{Excess, Period, PortsText, QuotaBody, ReachBody, SaidRules, TransportKind};
use crate::domain::own_limits::OwnLimitsChange;
use crate::domain::own_rules::OwnRulesChange;
use crate::domain::quota::{MOST_BYTES, Quota};

/// Where entries have the values, and the columns of files that hold them.
pub(super) const DEVICES: &str = "limits.devices";
pub(super) const SESSIONS: &str = "limits.sessions";
pub(super) const SESSION_EXCESS: &str = "limits.session_excess";
const TRAFFIC: &str = "limits.traffic";
pub(super) const BYTES: &str = "limits.traffic.bytes";
pub(super) const PERIOD: &str = "limits.traffic.period";
pub(super) const RESET_DAY: &str = "limits.traffic.reset_day";
const REACH: &str = "limits.reach";
const ROUTES: &str = "limits.routes";
pub(super) const UP: &str = "limits.speed.up";
pub(super) const DOWN: &str = "limits.speed.down";
pub(super) const REACH_AND_ROUTES: &str = "limits.reach_and_routes";

/// `None`: not said. `Some(None)`: the own value is taken away.
pub(super) type Said<T> = Option<Option<T>>;

/// What an entry says of own values. Files have no columns for reach and routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SaidLimits {
    pub(super) devices: Said<String>,
    pub(super) sessions: Said<String>,
    pub(super) session_excess: Said<String>,
    pub(super) traffic: Said<SaidQuota>,
    pub(super) reach: Said<Vec<SaidReach>>,
    pub(super) routes: Said<Vec<PrefixText>>,
    pub(super) up: Said<String>,
    pub(super) down: Said<String>,
    /// A file says that the user has own reach or routes, and not which.
    pub(super) has_untold_lists: bool,
}

/// What an entry says of something that the user may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SaidReach {
    pub(super) to: Option<PrefixText>,
    pub(super) protocol: Option<String>,
    pub(super) ports: Vec<PortsText>,
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
            reach: Some(None),
            routes: Some(None),
            up: Some(None),
            down: Some(None),
            has_untold_lists: false,
        }
    }

    /// 409 for a new user whose own reach and routes are not told: without them it might reach what it must not.
    pub(super) fn check_told(&self) -> Result<(), ApiError> {
        if self.has_untold_lists {
            return Err(ApiError::conflict(
                REACH_AND_ROUTES,
                "the user has own reach or routes, and a file does not say which: create the user with POST /api/users:batch and give them in \
                 `limits`",
            ));
        }
        Ok(())
    }

    /// What changes, or what is wrong with it.
    pub(super) fn into_changes(self) -> Result<(OwnLimitsChange, OwnRulesChange), ApiError> {
        let own_reach = checked(self.reach, reach)?;
        let own_routes = checked(self.routes, routes)?;
        let rules = SaidRules {
            reach: own_reach.as_ref().map(Option::as_deref),
            routes: own_routes.as_ref().map(Option::as_deref),
            up: checked(self.up, |text| speed(UP, &text))?,
            down: checked(self.down, |text| speed(DOWN, &text))?,
        };
        let rules = rules.into_change()?;
        let limits = OwnLimitsChange {
            devices: checked(self.devices, |text| number(DEVICES, &text, 1..=16))?,
            sessions: checked(self.sessions, |text| number(SESSIONS, &text, 1..=16))?,
            session_excess: checked(self.session_excess, |text| excess(&text))?.map(|own| own.map(Excess::into_excess)),
            quota: checked(self.traffic, quota)?,
        };
        Ok((limits, rules))
    }

    /// A value that is said.
    pub(super) fn first_value(&self) -> Option<&'static str> {
        let said = [
            (DEVICES, self.devices.is_some()),
            (SESSIONS, self.sessions.is_some()),
            (SESSION_EXCESS, self.session_excess.is_some()),
            (TRAFFIC, self.traffic.is_some()),
            (REACH, self.reach.is_some()),
            (ROUTES, self.routes.is_some()),
            (UP, self.up.is_some()),
            (DOWN, self.down.is_some()),
            (REACH_AND_ROUTES, self.has_untold_lists),
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

fn reach(said: Vec<SaidReach>) -> Result<Vec<ReachBody>, ApiError> {
    check_length(REACH, &said, GroupRules::MOST_REACH)?;
    let entries = said.into_iter().enumerate();
    entries.map(|(place, entry)| reach_entry(place, entry)).collect()
}

fn reach_entry(place: usize, said: SaidReach) -> Result<ReachBody, ApiError> {
    let protocol = match said.protocol {
        Some(text) => {
            let protocol = TransportKind::parse_from_parameter(&text).ok();
            let field = format!("{REACH}.{place}.protocol");
            Some(protocol.ok_or_else(|| ApiError::invalid(field, "must be one of tcp, udp, icmp"))?)
        }
        None => None,
    };
    check_length(&format!("{REACH}.{place}.ports"), &said.ports, Reach::MOST_PORTS)?;
    Ok(ReachBody::new(said.to, protocol, said.ports))
}

fn routes(said: Vec<PrefixText>) -> Result<Vec<PrefixText>, ApiError> {
    check_length(ROUTES, &said, GroupRules::MOST_ROUTES)?;
    Ok(said)
}

/// Refuses a list that is longer than it may be.
fn check_length<T>(field: &str, entries: &[T], most: usize) -> Result<(), ApiError> {
    let length = entries.len();
    if length > most {
        let detail = format!("must have {most} items at most, not {length}");
        return Err(ApiError::invalid(field, detail));
    }
    Ok(())
}

fn speed(field: &'static str, text: &str) -> Result<Speed, ApiError> {
    let kilobits = number(field, text, Speed::LEAST..=Speed::MOST)?;
    Speed::try_from(kilobits).map_err(|error| ApiError::invalid(field, error.to_string()))
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
            up: said("64"),
            down: Some(None),
            ..SaidLimits::default()
        };
        let expected = OwnLimitsChange {
            devices: Some(Some(2)),
            sessions: Some(None),
            session_excess: Some(Some(SessionExcess::NewestEnds)),
            quota: None,
        };
        let rules = OwnRulesChange {
            reach: None,
            routes: None,
            up: Some(Some(64_u32.try_into().expect("a speed"))),
            down: Some(None),
        };
        assert_eq!(some.into_changes().ok(), Some((expected, rules)));
        assert_eq!(
            SaidLimits::all_taken().into_changes().ok(),
            Some((OwnLimitsChange::NONE_LEFT, OwnRulesChange::NONE_LEFT))
        );
        for (period, reset_day, expected) in [
            (None, None, (TrafficPeriod::Month, 1)),
            (None, Some("28"), (TrafficPeriod::Month, 28)),
            (Some("none"), None, (TrafficPeriod::Endless, 1)),
        ] {
            let changes = quota_of(Some("1000"), period, reset_day).into_changes().ok();
            let quota = changes.and_then(|(limits, _)| limits.quota).flatten().expect("a quota");
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
        let down = |text: &str| SaidLimits {
            down: said(text),
            ..SaidLimits::default()
        };
        let many = SaidLimits {
            routes: Some(Some(vec![PrefixText("10.0.0.0/8".to_owned()); 33])),
            ..SaidLimits::default()
        };
        let route = |text: &str| SaidLimits {
            routes: Some(Some(vec![PrefixText(text.to_owned())])),
            ..SaidLimits::default()
        };
        let reach = |protocol: &str, ports: usize| SaidLimits {
            reach: Some(Some(vec![SaidReach {
                to: None,
                protocol: Some(protocol.to_owned()),
                ports: (1..=ports).map(|port| PortsText(port.to_string())).collect(),
            }])),
            ..SaidLimits::default()
        };
        assert!(reach("tcp", 16).into_changes().is_ok());
        for (limits, status, field) in [
            (reach("sctp", 0), 400, "limits.reach.0.protocol"),
            (reach("tcp", 17), 400, "limits.reach.0.ports"),
            (down("63"), 400, DOWN),
            (down("10000001"), 400, DOWN),
            (down("fast"), 400, DOWN),
            (many, 400, ROUTES),
            (route("10.0.0.0"), 400, "limits.routes.0"),
            (route("10.0.0.1/8"), 409, "limits.routes.0"),
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
            let refusal = limits.clone().into_changes().expect_err("refused");
            let problem = refusal.problem();
            let named = problem.errors.first().map(|error| error.field.as_str());
            assert_eq!((problem.status, named), (status, Some(field)), "{limits:?}");
        }
    }
}
