//! What a user is held to, and who says so, in the API.

use poem_openapi::{Enum, Object};
use vpnmanager_nats::groups::Speed;

use super::excess::Excess;
use super::quota::QuotaView;
use super::rules::ReachView;
use crate::domain::own_limits::{EffectiveLimits, Held, Origin};
use crate::domain::own_rules::EffectiveRules;
use crate::ops::users::effective_limits::Effective;

/// What holds for a user. What is absent is limited neither by the user's own values nor by the group.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "EffectiveLimits")]
pub(in crate::api) struct EffectiveLimitsView {
    /// The most devices; absent: 16.
    devices: Option<EffectiveCount>,
    /// The most devices that are connected at the same time, over the whole fleet; absent: any number.
    sessions: Option<EffectiveCount>,
    /// What happens beyond that number.
    session_excess: EffectiveExcess,
    /// The traffic in a period; absent: any amount.
    traffic: Option<EffectiveQuota>,
    /// What the user may reach of what the network of its pool and `routes` lead to; absent: all of it.
    reach: Option<EffectiveReach>,
    /// What the user sends into the tunnel besides the routes of its pool; absent: nothing.
    routes: Option<EffectiveRoutes>,
    /// The speed of each device; absent: as fast as it goes.
    speed: Option<EffectiveSpeed>,
}

/// A number that holds, and who says so.
#[derive(Debug, Clone, Object)]
struct EffectiveCount {
    /// The number.
    value: i16,
    /// Who says so.
    from: LimitOrigin,
}

/// What happens beyond the number of sessions, and who says so.
#[derive(Debug, Clone, Object)]
struct EffectiveExcess {
    /// What happens.
    value: Excess,
    /// Who says so.
    from: LimitOrigin,
}

/// The quota that holds, and who says so.
#[derive(Debug, Clone, Object)]
struct EffectiveQuota {
    /// The quota.
    value: QuotaView,
    /// Who says so.
    from: LimitOrigin,
}

/// What the user may reach, and who says so.
#[derive(Debug, Clone, Object)]
struct EffectiveReach {
    /// What it is; an empty list: nothing.
    value: Vec<ReachView>,
    /// Who says so.
    from: LimitOrigin,
}

/// Prefixes that the user sends into the tunnel, and who says so.
#[derive(Debug, Clone, Object)]
struct EffectiveRoutes {
    /// The prefixes.
    value: Vec<String>,
    /// Who says so.
    from: LimitOrigin,
}

/// The speed of each device, each way.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct EffectiveSpeed {
    /// Towards the server; absent: as fast as it goes.
    up: Option<EffectiveKilobits>,
    /// From the server; absent: as fast as it goes.
    down: Option<EffectiveKilobits>,
}

/// A speed that holds, and who says so.
#[derive(Debug, Clone, Object)]
struct EffectiveKilobits {
    /// Kilobits (1,000 bits) in a second.
    value: u32,
    /// Who says so.
    from: LimitOrigin,
}

/// Who says what holds for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum LimitOrigin {
    /// It is an own value of the user.
    Own,
    /// It is that of the group.
    Group,
}

impl EffectiveLimitsView {
    pub(in crate::api) fn of(effective: Effective) -> Self {
        let EffectiveLimits {
            devices,
            sessions,
            session_excess,
            quota,
        } = effective.limits;
        let EffectiveRules {
            reach,
            routes,
            up,
            down,
        } = effective.rules;
        Self {
            devices: devices.map(EffectiveCount::of),
            sessions: sessions.map(EffectiveCount::of),
            session_excess: EffectiveExcess {
                value: Excess::of(session_excess.value),
                from: LimitOrigin::of(session_excess.origin),
            },
            traffic: quota.map(|held| EffectiveQuota {
                value: QuotaView::of(&held.value),
                from: LimitOrigin::of(held.origin),
            }),
            reach: reach.map(|held| EffectiveReach {
                value: held.value.into_iter().map(ReachView::of).collect(),
                from: LimitOrigin::of(held.origin),
            }),
            routes: routes.map(|held| EffectiveRoutes {
                value: held.value.iter().map(ToString::to_string).collect(),
                from: LimitOrigin::of(held.origin),
            }),
            speed: EffectiveSpeed::of(up, down),
        }
    }
}

impl EffectiveSpeed {
    fn of(up: Option<Held<Speed>>, down: Option<Held<Speed>>) -> Option<Self> {
        let is_limited = up.is_some() || down.is_some();
        is_limited.then(|| Self {
            up: up.map(EffectiveKilobits::of),
            down: down.map(EffectiveKilobits::of),
        })
    }
}

impl EffectiveKilobits {
    fn of(held: Held<Speed>) -> Self {
        Self {
            value: held.value.kilobits(),
            from: LimitOrigin::of(held.origin),
        }
    }
}

impl EffectiveCount {
    fn of(held: Held<i16>) -> Self {
        Self {
            value: held.value,
            from: LimitOrigin::of(held.origin),
        }
    }
}

impl LimitOrigin {
    fn of(origin: Origin) -> Self {
        match origin {
            Origin::Own => Self::Own,
            Origin::Group => Self::Group,
        }
    }
}
