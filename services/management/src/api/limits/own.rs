//! Own values of a user, in the API: the bodies of requests, and that of answers.

use poem_openapi::Object;
use poem_openapi::types::MaybeUndefined;
use vpnmanager_nats::own_rules::OwnRules;
use vpnmanager_openapi::Clearable;
use vpnmanager_openapi::problem::ApiError;

use super::excess::Excess;
use super::own_rules::{OwnSpeedBody, SaidRules};
use super::quota::{QuotaBody, QuotaView};
use super::rules::{ReachBody, ReachView};
use crate::api::entries::PrefixText;
use crate::domain::own_limits::{OwnLimits, OwnLimitsChange};
use crate::domain::own_rules::OwnRulesChange;

/// Where requests of users have the quota.
const QUOTA: &str = "limits.traffic";

/// Own values of a user. Of what is left out that of the group holds.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "WantedLimits")]
pub(in crate::api) struct OwnLimitsBody {
    /// The most devices of the user.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    devices: Option<i16>,
    /// The most devices of the user that are connected at the same time, over the whole fleet.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    sessions: Option<i16>,
    /// What happens beyond the number of sessions that holds, be it the user's own or that of the group.
    session_excess: Option<Excess>,
    /// The traffic of the user in a period, as a whole. Who has used it up has no access until the next period begins.
    traffic: Option<QuotaBody>,
    /// What the user may reach of what the network of its pool and `routes` lead to. An empty list: nothing; one entry that says nothing: all of
    /// it.
    #[oai(validator(max_items = 32))]
    reach: Option<Vec<ReachBody>>,
    /// Prefixes that the user sends into the tunnel besides the routes of its pool, in the place of those of the group. No two overlap. None contains
    /// the address of a server, or of the bus.
    #[oai(validator(max_items = 32))]
    routes: Option<Vec<PrefixText>>,
    /// The speed of each device of the user.
    speed: Option<OwnSpeedBody>,
}

/// What to change of the own values of a user. Fields that are left out keep their value; `null`: that of the group holds.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "LimitsChanges")]
pub(in crate::api) struct OwnLimitsChanges {
    /// The most devices of the user; fewer take none from it.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    devices: Clearable<i16>,
    /// The most devices of the user that are connected at the same time, over the whole fleet.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    sessions: Clearable<i16>,
    /// What happens beyond the number of sessions that holds, be it the user's own or that of the group.
    session_excess: Clearable<Excess>,
    /// The traffic of the user in a period, as a whole.
    traffic: Clearable<QuotaBody>,
    /// What the user may reach of what the network of its pool and `routes` lead to, as a whole. An empty list: nothing; one entry that says nothing:
    /// all of it.
    #[oai(validator(max_items = 32))]
    reach: Clearable<Vec<ReachBody>>,
    /// Prefixes that the user sends into the tunnel besides the routes of its pool, in the place of those of the group, as a whole.
    #[oai(validator(max_items = 32))]
    routes: Clearable<Vec<PrefixText>>,
    /// The speed of each device of the user, as a whole.
    speed: Clearable<OwnSpeedBody>,
}

/// Own values of a user. Of what is absent that of the group holds.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "Limits")]
pub(in crate::api) struct OwnLimitsView {
    /// The most devices of the user.
    devices: Option<i16>,
    /// The most devices of the user that are connected at the same time, over the whole fleet.
    sessions: Option<i16>,
    /// What happens beyond the number of sessions that holds.
    session_excess: Option<Excess>,
    /// The traffic of the user in a period.
    traffic: Option<QuotaView>,
    /// What the user may reach of what the network of its pool and `routes` lead to. An empty list: nothing.
    reach: Option<Vec<ReachView>>,
    /// Prefixes that the user sends into the tunnel besides the routes of its pool.
    routes: Option<Vec<String>>,
    /// The speed of each device of the user.
    speed: Option<OwnSpeedBody>,
}

impl OwnLimitsBody {
    /// The values; 409 for a day that the period of the quota does not have, and what is wrong with which entry of a list.
    pub(in crate::api) fn into_own(self) -> Result<(OwnLimits, OwnRules), ApiError> {
        let (up, down) = OwnSpeedBody::said(Some(self.speed));
        let said = SaidRules {
            reach: Some(self.reach.as_deref()),
            routes: Some(self.routes.as_deref()),
            up,
            down,
        };
        let rules = said.into_change()?;
        let limits = OwnLimits {
            devices: self.devices,
            sessions: self.sessions,
            session_excess: self.session_excess.map(Excess::into_excess),
            quota: self.traffic.map(|traffic| traffic.into_quota(QUOTA)).transpose()?,
        };
        Ok((limits, rules.applied_to(OwnRules::default())))
    }
}

impl OwnLimitsChanges {
    /// What changes, if the whole object is said: `null` takes every own value away. 409 as for a new user.
    pub(in crate::api) fn changes_of(field: Clearable<Self>) -> Result<(OwnLimitsChange, OwnRulesChange), ApiError> {
        match field.said() {
            None => Ok((OwnLimitsChange::default(), OwnRulesChange::default())),
            Some(None) => Ok((OwnLimitsChange::NONE_LEFT, OwnRulesChange::NONE_LEFT)),
            Some(Some(changes)) => changes.into_changes(),
        }
    }

    fn into_changes(self) -> Result<(OwnLimitsChange, OwnRulesChange), ApiError> {
        let (reach, routes) = (self.reach.said(), self.routes.said());
        let (up, down) = OwnSpeedBody::said(self.speed.said());
        let said = SaidRules {
            reach: reach.as_ref().map(Option::as_deref),
            routes: routes.as_ref().map(Option::as_deref),
            up,
            down,
        };
        let rules = said.into_change()?;
        let limits = OwnLimitsChange {
            devices: self.devices.said(),
            sessions: self.sessions.said(),
            session_excess: self.session_excess.said().map(|own| own.map(Excess::into_excess)),
            quota: match self.traffic.said() {
                Some(own) => Some(own.map(|traffic| traffic.into_quota(QUOTA)).transpose()?),
                None => None,
            },
        };
        Ok((limits, rules))
    }

    /// An example for descriptions.
    pub(in crate::api) fn example() -> Self {
        Self {
            devices: Clearable(MaybeUndefined::Value(2)),
            sessions: Clearable(MaybeUndefined::Null),
            session_excess: Clearable(MaybeUndefined::Undefined),
            traffic: Clearable(MaybeUndefined::Value(QuotaBody::example())),
            reach: Clearable(MaybeUndefined::Value(vec![ReachBody::example()])),
            routes: Clearable(MaybeUndefined::Undefined),
            speed: Clearable(MaybeUndefined::Value(OwnSpeedBody::example())),
        }
    }
}

impl OwnLimitsView {
    pub(in crate::api) fn of(limits: OwnLimits, rules: OwnRules) -> Self {
        Self {
            devices: limits.devices,
            sessions: limits.sessions,
            session_excess: limits.session_excess.map(Excess::of),
            traffic: limits.quota.as_ref().map(QuotaView::of),
            reach: rules.reach.map(|reach| reach.into_iter().map(ReachView::of).collect()),
            routes: rules
                .routes
                .map(|routes| routes.iter().map(ToString::to_string).collect()),
            speed: OwnSpeedBody::of(rules.up, rules.down),
        }
    }
}
