//! Own values of a user for what management holds it to, in the API: the bodies of requests, and that of answers.

use poem_openapi::Object;
use poem_openapi::types::MaybeUndefined;
use vpnmanager_openapi::Clearable;
use vpnmanager_openapi::problem::ApiError;

use super::excess::Excess;
use super::quota::{QuotaBody, QuotaView};
use crate::domain::own_limits::{OwnLimits, OwnLimitsChange};

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
}

impl OwnLimitsBody {
    /// The values; 409 for a day that the period of the quota does not have.
    pub(in crate::api) fn into_limits(self) -> Result<OwnLimits, ApiError> {
        Ok(OwnLimits {
            devices: self.devices,
            sessions: self.sessions,
            session_excess: self.session_excess.map(Excess::into_excess),
            quota: self.traffic.map(|traffic| traffic.into_quota(QUOTA)).transpose()?,
        })
    }
}

impl OwnLimitsChanges {
    /// What changes, if the whole object is said: `null` takes every own value away. 409 as for a new user.
    pub(in crate::api) fn change_of(field: Clearable<Self>) -> Result<OwnLimitsChange, ApiError> {
        match field.said() {
            None => Ok(OwnLimitsChange::default()),
            Some(None) => Ok(OwnLimitsChange::NONE_LEFT),
            Some(Some(changes)) => changes.into_change(),
        }
    }

    fn into_change(self) -> Result<OwnLimitsChange, ApiError> {
        Ok(OwnLimitsChange {
            devices: self.devices.said(),
            sessions: self.sessions.said(),
            session_excess: self.session_excess.said().map(|own| own.map(Excess::into_excess)),
            quota: match self.traffic.said() {
                Some(own) => Some(own.map(|traffic| traffic.into_quota(QUOTA)).transpose()?),
                None => None,
            },
        })
    }

    /// An example for descriptions.
    pub(in crate::api) fn example() -> Self {
        Self {
            devices: Clearable(MaybeUndefined::Value(2)),
            sessions: Clearable(MaybeUndefined::Null),
            session_excess: Clearable(MaybeUndefined::Undefined),
            traffic: Clearable(MaybeUndefined::Value(QuotaBody::example())),
        }
    }
}

impl OwnLimitsView {
    pub(in crate::api) fn of(limits: OwnLimits) -> Self {
        Self {
            devices: limits.devices,
            sessions: limits.sessions,
            session_excess: limits.session_excess.map(Excess::of),
            traffic: limits.quota.as_ref().map(QuotaView::of),
        }
    }
}
