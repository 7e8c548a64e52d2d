//! Traffic quotas of groups and users: how many bytes a user may have in a period, and what is to be done about it.

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveTime, Utc};
use vpnmanager_entities::group::{self, TrafficPeriod};

/// The most bytes of a quota: a petabyte.
pub const MOST_BYTES: i64 = 1_000_000_000_000_000;
/// Percent of a quota from which on most of it is used.
const NEAR: i128 = 80;

/// How much traffic a user, or each member of a group, may have in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// In both directions together, 1 to [`MOST_BYTES`].
    pub bytes: i64,
    /// How long a period is.
    pub period: TrafficPeriod,
    /// The day on which a [`TrafficPeriod::Month`] begins, 1 to 28. It means nothing for other periods.
    pub reset_day: i16,
}

/// The days of one period, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first day. 1970-01-01 if the period never ends.
    pub first: NaiveDate,
    /// The first day of the next one; `None`: it never ends.
    pub next: Option<NaiveDate>,
}

/// What a user has used of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The quota.
    pub quota: Quota,
    /// The period of now.
    pub span: Span,
    /// Bytes in it, without those that were forgiven.
    pub used: i64,
}

/// What is known of a user who is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the user is over a quota.
    pub is_over: bool,
    /// [`quota_warned_from`](vpnmanager_entities::user::Model::quota_warned_from).
    pub warned_from: Option<NaiveDate>,
    /// What is used; `None`: neither the user nor its group has a quota.
    pub counted: Option<Counted>,
}

/// What is to be done about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The trail is to say that most of the quota is used.
    Warn(Counted),
    /// The user has no access any more.
    Refuse {
        /// What is used.
        counted: Counted,
        /// Whether the trail has not said yet that most of it is used.
        warn: bool,
    },
    /// The user is not over the quota any more.
    Lift(Option<Counted>),
}

impl Quota {
    /// That of a group; `None`: it has none.
    pub fn of(group: &group::Model) -> Option<Self> {
        Some(Self {
            bytes: group.traffic_bytes?,
            period: group.traffic_period,
            reset_day: group.traffic_reset_day,
        })
    }

    /// The period that this day is in.
    pub fn span(&self, today: NaiveDate) -> Span {
        match self.period {
            TrafficPeriod::Day => Span {
                first: today,
                next: today.checked_add_days(Days::new(1)),
            },
            TrafficPeriod::Week => {
                let since_monday = Days::new(today.weekday().num_days_from_monday().into());
                let first = today.checked_sub_days(since_monday).unwrap_or(today);
                Span {
                    first,
                    next: first.checked_add_days(Days::new(7)),
                }
            }
            TrafficPeriod::Month => {
                let first = self.first_of_month(today);
                Span {
                    first,
                    next: first.checked_add_months(Months::new(1)),
                }
            }
            TrafficPeriod::Endless => Span {
                first: DateTime::<Utc>::UNIX_EPOCH.date_naive(),
                next: None,
            },
        }
    }

    /// Every month has the days 1 to 28.
    fn first_of_month(&self, today: NaiveDate) -> NaiveDate {
        let day = u32::try_from(self.reset_day).unwrap_or(1).clamp(1, 28);
        let of_this_month = today.with_day(day).unwrap_or(today);
        if of_this_month <= today {
            of_this_month
        } else {
            of_this_month.checked_sub_months(Months::new(1)).unwrap_or(today)
        }
    }

    /// Whether nothing of it is left after so many bytes.
    pub fn is_used_up(&self, used: i64) -> bool {
        used >= self.bytes
    }

    /// Whether most of it is used after so many bytes.
    pub fn is_nearly_used_up(&self, used: i64) -> bool {
        i128::from(used) * 100 >= i128::from(self.bytes) * NEAR
    }
}

impl Span {
    /// When it began; `None`: it never began, and everything counts.
    pub fn began_at(&self) -> Option<DateTime<Utc>> {
        self.next.map(|_| midnight(self.first))
    }

    /// When the next one begins.
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        self.next.map(midnight)
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// What is to be done about a user; `None`: nothing. The trail says once in each period that most of the quota is used.
pub fn judge(standing: &Standing) -> Option<Verdict> {
    let Some(counted) = standing.counted else {
        return standing.is_over.then_some(Verdict::Lift(None));
    };
    let Counted { quota, span, used } = counted;
    let warn = quota.is_nearly_used_up(used) && standing.warned_from != Some(span.first);
    match (standing.is_over, quota.is_used_up(used)) {
        (false, true) => Some(Verdict::Refuse { counted, warn }),
        (true, false) => Some(Verdict::Lift(Some(counted))),
        (false, false) => warn.then_some(Verdict::Warn(counted)),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    fn quota(period: TrafficPeriod, reset_day: i16) -> Quota {
        Quota {
            bytes: 1_000,
            period,
            reset_day,
        }
    }

    #[test]
    fn a_period_begins_at_midnight_and_lasts_until_the_next_one() {
        use TrafficPeriod::{Day, Endless, Month, Week};
        for (period, reset_day, today, first, next) in [
            (Day, 1, "2026-12-31", "2026-12-31", Some("2027-01-01")),
            (Day, 1, "2028-02-28", "2028-02-28", Some("2028-02-29")),
            // A Monday, a Sunday, and a week over the end of the year.
            (Week, 1, "2026-11-30", "2026-11-30", Some("2026-12-07")),
            (Week, 1, "2026-11-29", "2026-11-23", Some("2026-11-30")),
            (Week, 1, "2027-01-01", "2026-12-28", Some("2027-01-04")),
            (Month, 1, "2026-12-01", "2026-12-01", Some("2027-01-01")),
            (Month, 1, "2026-12-31", "2026-12-01", Some("2027-01-01")),
            (Month, 15, "2026-12-15", "2026-12-15", Some("2027-01-15")),
            (Month, 15, "2027-01-14", "2026-12-15", Some("2027-01-15")),
            // A leap year, and one that is none.
            (Month, 28, "2028-02-29", "2028-02-28", Some("2028-03-28")),
            (Month, 28, "2028-02-27", "2028-01-28", Some("2028-02-28")),
            (Month, 28, "2027-03-27", "2027-02-28", Some("2027-03-28")),
            (Month, 31, "2026-12-30", "2026-12-28", Some("2027-01-28")),
            (Endless, 15, "2026-12-15", "1970-01-01", None),
        ] {
            let span = quota(period, reset_day).span(day(today));
            let expected = Span {
                first: day(first),
                next: next.map(day),
            };
            assert_eq!(span, expected, "{period:?} from {reset_day} on {today}");
        }
    }

    #[test]
    fn a_period_without_an_end_has_no_beginning_either() {
        let month = quota(TrafficPeriod::Month, 15).span(day("2026-12-20"));
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().expect(text));
        assert_eq!(
            (month.began_at(), month.ends_at()),
            (at("2026-12-15T00:00:00Z"), at("2027-01-15T00:00:00Z"))
        );
        let endless = quota(TrafficPeriod::Endless, 1).span(day("2026-12-20"));
        assert_eq!((endless.began_at(), endless.ends_at()), (None, None));
    }

    #[test]
    fn a_user_is_over_with_the_last_byte_and_near_from_80_percent_on() {
        for (bytes, near) in [(1_000, 800), (1, 1), (9, 8), (i64::MAX, 7_378_697_629_483_820_646)] {
            let quota = Quota {
                bytes,
                ..quota(TrafficPeriod::Day, 1)
            };
            assert_eq!(
                [near - 1, near].map(|used| quota.is_nearly_used_up(used)),
                [false, true],
                "{bytes}"
            );
            assert_eq!([bytes - 1, bytes].map(|used| quota.is_used_up(used)), [false, true]);
        }
    }

    #[test]
    fn a_user_is_warned_once_in_a_period_refused_once_and_let_in_when_there_is_room() {
        let quota = quota(TrafficPeriod::Day, 1);
        let span = quota.span(day("2026-12-15"));
        let counted = |used| Counted { quota, span, used };
        let today = Some(span.first);
        let before = Some(day("2026-12-14"));
        for (is_over, warned_from, used, expected) in [
            (false, None, 799, None),
            (false, None, 800, Some(Verdict::Warn(counted(800)))),
            (false, before, 800, Some(Verdict::Warn(counted(800)))),
            (false, today, 800, None),
            (
                false,
                today,
                1_000,
                Some(Verdict::Refuse {
                    counted: counted(1_000),
                    warn: false,
                }),
            ),
            (
                false,
                before,
                1_000,
                Some(Verdict::Refuse {
                    counted: counted(1_000),
                    warn: true,
                }),
            ),
            (true, today, 1_000, None),
            (true, before, 1_000, None),
            (true, today, 999, Some(Verdict::Lift(Some(counted(999))))),
            (true, before, 0, Some(Verdict::Lift(Some(counted(0))))),
        ] {
            let standing = Standing {
                is_over,
                warned_from,
                counted: Some(counted(used)),
            };
            assert_eq!(judge(&standing), expected, "{standing:?}");
        }
        for (is_over, expected) in [(true, Some(Verdict::Lift(None))), (false, None)] {
            let without = Standing {
                is_over,
                warned_from: today,
                counted: None,
            };
            assert_eq!(judge(&without), expected);
        }
    }
}
