//! Own values of a user for what nodes hold it to, in the API: the parts of requests, and the speed.

use poem_openapi::Object;
use vpnmanager_nats::groups::Speed;
use vpnmanager_openapi::problem::ApiError;

use super::rules::{ReachBody, as_speed, parsed_reach, parsed_routes};
use crate::api::entries::PrefixText;
use crate::api::faults::Faults;
use crate::domain::own_rules::OwnRulesChange;

/// Where requests of users have the lists.
const REACH: &str = "limits.reach";
const ROUTES: &str = "limits.routes";

/// The speed of each device of the user, in kilobits (1,000 bits) in a second.
#[derive(Debug, Clone, Copy, Object)]
#[oai(skip_serializing_if_is_none, rename = "OwnSpeed")]
pub(in crate::api) struct OwnSpeedBody {
    /// Towards the server; that of the group holds when it is left out.
    #[oai(validator(minimum(value = "64"), maximum(value = "10000000")))]
    up: Option<u32>,
    /// From the server; that of the group holds when it is left out.
    #[oai(validator(minimum(value = "64"), maximum(value = "10000000")))]
    down: Option<u32>,
}

impl OwnSpeedBody {
    /// `None`: there is no own value.
    pub(super) fn of(up: Option<Speed>, down: Option<Speed>) -> Option<Self> {
        let is_limited = up.is_some() || down.is_some();
        is_limited.then(|| Self {
            up: up.map(Speed::kilobits),
            down: down.map(Speed::kilobits),
        })
    }

    /// Each way by itself: what a speed that is said leaves out is taken away.
    pub(super) fn said(speed: Option<Option<Self>>) -> (Option<Option<Speed>>, Option<Option<Speed>>) {
        let up = speed.map(|own| own.and_then(|own| as_speed(own.up)));
        let down = speed.map(|own| own.and_then(|own| as_speed(own.down)));
        (up, down)
    }
}

/// What a request says of own rules: of each `None` if it says nothing, `Some(None)` if it takes the own value away.
#[derive(Debug)]
pub(in crate::api) struct SaidRules<'a> {
    pub(in crate::api) reach: Option<Option<&'a [ReachBody]>>,
    pub(in crate::api) routes: Option<Option<&'a [PrefixText]>>,
    pub(in crate::api) up: Option<Option<Speed>>,
    pub(in crate::api) down: Option<Option<Speed>>,
}

impl SaidRules<'_> {
    /// The change, or what is wrong with which entry: 400 where some have not the form of the description, otherwise 409.
    pub(in crate::api) fn into_change(self) -> Result<OwnRulesChange, ApiError> {
        let mut faults = Faults::default();
        let reach = self.reach;
        let reach = reach.map(|own| own.map(|entries| parsed_reach(&mut faults, REACH, entries)));
        let routes = self.routes;
        let routes = routes.map(|own| own.map(|entries| parsed_routes(&mut faults, ROUTES, entries)));
        match faults.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(OwnRulesChange {
                reach,
                routes,
                up: self.up,
                down: self.down,
            }),
        }
    }
}

impl OwnSpeedBody {
    /// An example for descriptions.
    pub(super) fn example() -> Self {
        Self {
            up: None,
            down: Some(20_000),
        }
    }
}
