//! When the end of a certificate is told.

use chrono::{DateTime, TimeDelta, Utc};

/// The days before its end at which that is told, once each.
pub const TOLD_AT: [i16; 4] = [1, 7, 14, 30];

/// The fewest of these days that one which ends in this time is within; `None`: it has longer, or has ended.
pub fn days_at(left: TimeDelta) -> Option<i16> {
    let is_within = |days: &i16| left <= TimeDelta::days((*days).into());
    TOLD_AT.into_iter().find(is_within).filter(|_| left > TimeDelta::zero())
}

/// Whether that is still to be told of one of which `told` was told last. Of one that was not looked at for long the latest alone is told.
pub fn is_news(told: Option<i16>, days: i16) -> bool {
    told.is_none_or(|told| days < told)
}

/// Certificates whose end is told on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// They end within so many days from the next such day on.
    pub days: i16,
    /// They end after this.
    pub after: DateTime<Utc>,
    /// They end at this, or before.
    pub upto: DateTime<Utc>,
}

/// The bands of those that are told together once a day: what reaches a number of days before the next look belongs to it, so that it is told
/// before. No certificate is in two bands.
pub fn bands(now: DateTime<Utc>) -> [Band; 4] {
    let mut after = now;
    TOLD_AT.map(|days| {
        let band = Band {
            days,
            after,
            upto: now + TimeDelta::days(i64::from(days) + 1),
        };
        after = band.upto;
        band
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_days_is_told_once() {
        let mut told = None;
        let mut said = Vec::new();
        for hour in (-2..=40 * 24).rev() {
            if let Some(days) = days_at(TimeDelta::hours(hour))
                && is_news(told, days)
            {
                told = Some(days);
                said.push((days, hour));
            }
        }
        assert_eq!(said, [(30, 720), (14, 336), (7, 168), (1, 24)]);
    }

    #[test]
    fn what_was_not_looked_at_for_long_is_told_once() {
        assert_eq!(days_at(TimeDelta::days(5)), Some(7));
        assert!(is_news(Some(30), 7) && !is_news(Some(7), 14) && !is_news(Some(7), 7));
        assert_eq!(days_at(TimeDelta::zero()), None);
        assert_eq!(days_at(TimeDelta::days(31)), None);
    }

    #[test]
    fn the_bands_touch_and_none_is_told_too_late() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let bands = bands(now);
        assert_eq!(bands[0].after, now);
        for (one, next) in bands.iter().zip(&bands[1..]) {
            assert_eq!(one.upto, next.after);
        }
        for band in bands {
            assert_eq!(band.upto - now, TimeDelta::days(i64::from(band.days) + 1));
        }
    }
}
