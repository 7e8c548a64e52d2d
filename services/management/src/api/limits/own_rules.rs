//! Own values of a user for what nodes hold it to, in the API: the parts of requests, and of answers.

use poem_openapi::Object;
use vpnmanager_nats::{groups::Speed, own_rules::OwnRules};
use vpnmanager_openapi::problem::ApiError;

use super::rules::{ReachBody, ReachView, as_speed, parsed_reach, parsed_routes};
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
}

/// What a request says of own rules: of each `None` if it says nothing, `Some(None)` if it takes the own value away.
#[derive(Debug, Default)]
pub(in crate::api) struct SaidRules<'a> {
    pub(in crate::api) reach: Option<Option<&'a [ReachBody]>>,
    pub(in crate::api) routes: Option<Option<&'a [PrefixText]>>,
    pub(in crate::api) up: Option<Option<Speed>>,
    pub(in crate::api) down: Option<Option<Speed>>,
}

impl SaidRules<'_> {
    /// The same with this speed, which is said as a whole.
    pub(super) fn with_speed(self, speed: Option<Option<OwnSpeedBody>>) -> Self {
        let Some(speed) = speed else {
            return self;
        };
        Self {
            up: Some(speed.and_then(|speed| as_speed(speed.up))),
            down: Some(speed.and_then(|speed| as_speed(speed.down))),
            ..self
        }
    }

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

/// The parts of an answer.
pub(super) struct RulesView {
    pub(super) reach: Option<Vec<ReachView>>,
    pub(super) routes: Option<Vec<String>>,
    pub(super) speed: Option<OwnSpeedBody>,
}

impl RulesView {
    pub(super) fn of(rules: OwnRules) -> Self {
        let OwnRules {
            reach,
            routes,
            up,
            down,
        } = rules;
        Self {
            reach: reach.map(|reach| reach.into_iter().map(ReachView::of).collect()),
            routes: routes.map(|routes| routes.iter().map(ToString::to_string).collect()),
            speed: OwnSpeedBody::of(up, down),
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
