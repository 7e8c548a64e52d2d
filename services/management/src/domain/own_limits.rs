//! Own values of a user for the limits that management holds it to: they come before those of its group. Those for what nodes hold it to are in
//! `own_rules.rs`.

use vpnmanager_entities::{
    group::{self, SessionExcess},
    user,
};

use super::quota::Quota;

/// The own values of a user; `None`: what the group says holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnLimits {
    /// The most devices, 1 to 16.
    pub devices: Option<i16>,
    /// The most devices that are connected at the same time, 1 to 16.
    pub sessions: Option<i16>,
    /// What happens beyond that number, whoever says it.
    pub session_excess: Option<SessionExcess>,
    /// The quota as a whole.
    pub quota: Option<Quota>,
}

/// What to change of own values: a field that is `None` keeps its value, and `Some(None)` takes it away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnLimitsChange {
    /// The most devices.
    pub devices: Option<Option<i16>>,
    /// The most devices that are connected at the same time.
    pub sessions: Option<Option<i16>>,
    /// What happens beyond that number.
    pub session_excess: Option<Option<SessionExcess>>,
    /// The quota as a whole.
    pub quota: Option<Option<Quota>>,
}

/// Who says what holds for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is an own value of the user.
    Own,
    /// It is that of the group.
    Group,
}

/// A value that holds for a user, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<T> {
    /// The value.
    pub value: T,
    /// Whose it is.
    pub origin: Origin,
}

/// What holds for a user; `None`: neither the user nor the group says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectiveLimits {
    /// The most devices.
    pub devices: Option<Held<i16>>,
    /// The most devices that are connected at the same time.
    pub sessions: Option<Held<i16>>,
    /// What happens beyond that number.
    pub session_excess: Held<SessionExcess>,
    /// The quota.
    pub quota: Option<Held<Quota>>,
}

impl OwnLimits {
    /// Those of a user.
    pub fn of(user: &user::Model) -> Self {
        Self {
            devices: user.own_devices,
            sessions: user.own_sessions,
            session_excess: user.own_session_excess,
            quota: own_quota(user),
        }
    }

    /// After a change.
    #[must_use]
    pub fn changed(self, change: OwnLimitsChange) -> Self {
        Self {
            devices: change.devices.unwrap_or(self.devices),
            sessions: change.sessions.unwrap_or(self.sessions),
            session_excess: change.session_excess.unwrap_or(self.session_excess),
            quota: change.quota.unwrap_or(self.quota),
        }
    }

    /// What holds for a user of this group.
    pub fn within(self, group: &group::Model) -> EffectiveLimits {
        EffectiveLimits {
            devices: held(self.devices, group.devices),
            sessions: held(self.sessions, group.sessions),
            session_excess: self
                .session_excess
                .map_or(Held::of_group(group.session_excess), Held::own),
            quota: held(self.quota, Quota::of(group)),
        }
    }
}

impl<T> Held<T> {
    fn own(value: T) -> Self {
        Self {
            value,
            origin: Origin::Own,
        }
    }

    fn of_group(value: T) -> Self {
        Self {
            value,
            origin: Origin::Group,
        }
    }
}

impl OwnLimitsChange {
    /// Every own value is taken away.
    pub const NONE_LEFT: Self = Self {
        devices: Some(None),
        sessions: Some(None),
        session_excess: Some(None),
        quota: Some(None),
    };
}

/// All three columns are there, or none.
fn own_quota(user: &user::Model) -> Option<Quota> {
    Some(Quota {
        bytes: user.own_traffic_bytes?,
        period: user.own_traffic_period?,
        reset_day: user.own_traffic_reset_day?,
    })
}

/// The own value, or else that of the group.
pub(super) fn held<T>(own: Option<T>, of_group: Option<T>) -> Option<Held<T>> {
    own.map(Held::own).or_else(|| of_group.map(Held::of_group))
}

#[cfg(test)]
mod tests {
    use vpnmanager_entities::group::TrafficPeriod;

    use super::*;

    fn quota(bytes: i64) -> Quota {
        Quota {
            bytes,
            period: TrafficPeriod::Month,
            reset_day: 1,
        }
    }

    fn own() -> OwnLimits {
        OwnLimits {
            devices: Some(2),
            sessions: None,
            session_excess: Some(SessionExcess::NewestEnds),
            quota: Some(quota(500)),
        }
    }

    #[test]
    fn an_own_value_comes_before_that_of_the_group_and_each_by_itself() {
        for (own, of_group, expected) in [
            (Some(2), Some(5), Some((2, Origin::Own))),
            (Some(7), Some(5), Some((7, Origin::Own))),
            (Some(2), None, Some((2, Origin::Own))),
            (None, Some(5), Some((5, Origin::Group))),
            (None, None, None),
        ] {
            let found = held(own, of_group).map(|held| (held.value, held.origin));
            assert_eq!(found, expected, "{own:?} {of_group:?}");
        }
    }

    #[test]
    fn a_change_keeps_sets_and_takes_away() {
        assert_eq!(own().changed(OwnLimitsChange::default()), own());
        let some = OwnLimitsChange {
            devices: Some(None),
            sessions: Some(Some(3)),
            quota: Some(Some(quota(900))),
            ..OwnLimitsChange::default()
        };
        let expected = OwnLimits {
            devices: None,
            sessions: Some(3),
            session_excess: Some(SessionExcess::NewestEnds),
            quota: Some(quota(900)),
        };
        assert_eq!(own().changed(some), expected);
        assert_eq!(own().changed(OwnLimitsChange::NONE_LEFT), OwnLimits::default());
    }
}
