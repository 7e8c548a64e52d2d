//! What management holds a user to, and who says so, in the API.

use poem_openapi::{Enum, Object};

use super::excess::Excess;
use super::quota::QuotaView;
use crate::domain::own_limits::{EffectiveLimits, Held, Origin};

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
    pub(in crate::api) fn of(limits: EffectiveLimits) -> Self {
        let EffectiveLimits {
            devices,
            sessions,
            session_excess,
            quota,
        } = limits;
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
