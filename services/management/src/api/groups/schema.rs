//! A group in the API: the bodies of requests and of answers.

use chrono::DateTime;
use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};
use vpnmanager_nats::groups::GroupRules;
use vpnmanager_openapi::Clearable;
use vpnmanager_openapi::contract::scalars::PoolText;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use crate::api::entries::PrefixText;
use crate::api::faults::Faults;
use crate::api::limits::{Excess, QuotaBody, QuotaView, ReachBody, ReachView, SpeedBody, parsed_reach, parsed_routes};
use crate::api::scalars::{GroupText, LifetimeText};
use crate::domain::lifetime::Lifetime;
use crate::domain::quota::Quota;
use crate::ops::groups::change::{GroupChange, Speeds};
use crate::ops::groups::create::NewGroup;
use crate::ops::groups::read::GroupView;

/// Where requests of groups have the quota, and the lists.
const QUOTA: &str = "traffic";
const REACH: &str = "reach";
const ROUTES: &str = "routes";

/// A group to create. What is left out asks nothing of its members.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "NewGroup")]
pub(crate) struct NewGroupBody {
    /// The name: a lower-case letter or digit, then lower-case letters, digits, `_` or `-`.
    name: GroupText,
    /// The pool that new members are placed in. Left out: `default`, or that of the server that is asked for.
    pool: Option<PoolText>,
    /// What members may reach of what the network of their pool and `routes` lead to. `null`, or left out: all of it. An empty list: nothing.
    #[oai(validator(max_items = 32))]
    reach: Clearable<Vec<ReachBody>>,
    /// Prefixes that members send into the tunnel besides the routes of their pool. No two overlap. None contains the address of a server, or
    /// of the bus: the way to it would lead into the tunnel.
    #[oai(default, validator(max_items = 32))]
    routes: Vec<PrefixText>,
    /// The speed of each device of a member; as fast as it goes when it is left out.
    speed: Option<SpeedBody>,
    /// The most devices of a member; 16 when it is left out.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    devices: Option<i16>,
    /// The most devices of a member that are connected at the same time, over the whole fleet; any number when it is left out.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    sessions: Option<i16>,
    /// What happens beyond `sessions`.
    #[oai(default)]
    session_excess: Excess,
    /// How long new members have access of whom nothing else is said, from 60s on, such as `12h` or `90days`; without end when it is left out.
    lifetime: Option<LifetimeText>,
    /// The traffic of each member in a period; any amount when it is left out. Who has used it up has no access until the next period begins.
    traffic: Option<QuotaBody>,
}

/// What to change; fields that are left out keep their value.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct GroupChanges {
    /// The pool that new members are placed in; `null`: `default`, or that of the server that is asked for.
    pool: Clearable<PoolText>,
    /// What members may reach of what the network of their pool and `routes` lead to, as a whole; `null`: all of it. An empty list: nothing.
    #[oai(validator(max_items = 32))]
    reach: Clearable<Vec<ReachBody>>,
    /// Prefixes that members send into the tunnel besides the routes of their pool, as a whole.
    #[oai(validator(max_items = 32))]
    routes: Option<Vec<PrefixText>>,
    /// The speed of each device of a member, as a whole; `null`: as fast as it goes.
    speed: Clearable<SpeedBody>,
    /// The most devices of a member; `null`: 16.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    devices: Clearable<i16>,
    /// The most devices of a member that are connected at the same time, over the whole fleet; `null`: any number.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    sessions: Clearable<i16>,
    /// What happens beyond `sessions`.
    session_excess: Option<Excess>,
    /// How long new members have access of whom nothing else is said; `null`: without end.
    lifetime: Clearable<LifetimeText>,
    /// The traffic of each member in a period, as a whole; `null`: any amount.
    traffic: Clearable<QuotaBody>,
}

/// A group: what holds for its members. Each user is in one.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct Group {
    /// Its name.
    name: String,
    /// It starts at 1 and grows by one with each change.
    revision: i64,
    /// The pool that new members are placed in; absent: `default`, or that of the server that is asked for.
    pool: Option<String>,
    /// What members may reach of what the network of their pool and `routes` lead to; absent: all of it. An empty list: nothing.
    reach: Option<Vec<ReachView>>,
    /// Prefixes that members send into the tunnel besides the routes of their pool.
    routes: Vec<String>,
    /// The speed of each device of a member; absent: as fast as it goes.
    speed: Option<SpeedBody>,
    /// The most devices of a member; absent: 16.
    devices: Option<i16>,
    /// The most devices of a member that are connected at the same time, over the whole fleet; absent: any number.
    sessions: Option<i16>,
    /// What happens beyond `sessions`.
    session_excess: Excess,
    /// How long new members have access of whom nothing else is said; absent: without end.
    lifetime: Option<String>,
    /// The traffic of each member in a period; absent: any amount.
    traffic: Option<QuotaView>,
    /// Its users.
    users: i64,
    /// The servers of the fleet.
    nodes: i64,
    /// Those that hold members to the newest rules of all groups, as their last heartbeats say. An agent that does not run OpenVPN is not among
    /// them.
    nodes_applied: i64,
    /// When it was made.
    created_at: Timestamp,
    /// When it was changed last.
    changed_at: Timestamp,
}

impl Group {
    pub(super) fn of(view: GroupView) -> Self {
        let GroupView { group, users, nodes } = view;
        let traffic = Quota::of(&group).as_ref().map(QuotaView::of);
        let GroupRules {
            reach,
            routes,
            up,
            down,
        } = group.rules;
        Self {
            name: group.name.to_string(),
            revision: group.revision,
            pool: group.pool.map(|pool| pool.to_string()),
            reach: reach.map(|reach| reach.into_iter().map(ReachView::of).collect()),
            routes: routes.iter().map(ToString::to_string).collect(),
            speed: SpeedBody::of(Speeds { up, down }),
            devices: group.devices,
            sessions: group.sessions,
            session_excess: Excess::of(group.session_excess),
            lifetime: group.lifetime.map(|seconds| Lifetime::of_seconds(seconds).to_string()),
            traffic,
            users,
            nodes: nodes.fleet,
            nodes_applied: nodes.applied,
            created_at: group.created_at.into(),
            changed_at: group.changed_at.into(),
        }
    }

    /// The path of the group in this API.
    pub(super) fn location(&self) -> String {
        format!("/api/groups/{}", self.name)
    }
}

impl NewGroupBody {
    /// The group, or what is wrong with which entry: 400 where some have not the form of the description, otherwise 409.
    pub(super) fn into_new_group(self) -> Result<NewGroup, ApiError> {
        let mut faults = Faults::default();
        let reach = self.reach.said().flatten();
        let speed = self.speed.map(SpeedBody::into_speeds).unwrap_or_default();
        let rules = GroupRules {
            reach: reach.map(|reach| parsed_reach(&mut faults, REACH, &reach)),
            routes: parsed_routes(&mut faults, ROUTES, &self.routes),
            up: speed.up,
            down: speed.down,
        };
        if let Some(refusal) = faults.refusal() {
            return Err(refusal);
        }
        Ok(NewGroup {
            name: self.name.0,
            pool: self.pool.map(|pool| pool.0),
            rules,
            devices: self.devices,
            sessions: self.sessions,
            session_excess: self.session_excess.into_excess(),
            lifetime: self.lifetime.map(|lifetime| lifetime.0),
            quota: self.traffic.map(|traffic| traffic.into_quota(QUOTA)).transpose()?,
        })
    }
}

impl GroupChanges {
    /// The change, or what is wrong with which entry, as for a new group.
    pub(super) fn into_change(self) -> Result<GroupChange, ApiError> {
        let mut faults = Faults::default();
        let reach = self
            .reach
            .said()
            .map(|reach| reach.map(|reach| parsed_reach(&mut faults, REACH, &reach)));
        let routes = self.routes.map(|routes| parsed_routes(&mut faults, ROUTES, &routes));
        if let Some(refusal) = faults.refusal() {
            return Err(refusal);
        }
        Ok(GroupChange {
            pool: self.pool.said().map(|pool| pool.map(|pool| pool.0)),
            reach,
            routes,
            speed: self
                .speed
                .said()
                .map(|speed| speed.map(SpeedBody::into_speeds).unwrap_or_default()),
            devices: self.devices.said(),
            sessions: self.sessions.said(),
            session_excess: self.session_excess.map(Excess::into_excess),
            lifetime: self.lifetime.said().map(|lifetime| lifetime.map(|lifetime| lifetime.0)),
            quota: match self.traffic.said() {
                Some(quota) => Some(quota.map(|traffic| traffic.into_quota(QUOTA)).transpose()?),
                None => None,
            },
        })
    }
}

impl Example for NewGroupBody {
    fn example() -> Self {
        Self {
            name: GroupText("sales".parse().expect("a valid name")),
            pool: None,
            reach: Clearable(MaybeUndefined::Value(vec![ReachBody::example()])),
            routes: Vec::new(),
            speed: Some(SpeedBody::example()),
            devices: Some(3),
            sessions: Some(2),
            session_excess: Excess::OldestEnds,
            lifetime: Some(LifetimeText("90days".parse().expect("a lifetime"))),
            traffic: Some(QuotaBody::example()),
        }
    }
}

impl Example for GroupChanges {
    fn example() -> Self {
        Self {
            pool: Clearable(MaybeUndefined::Undefined),
            reach: Clearable(MaybeUndefined::Value(vec![ReachBody::example()])),
            routes: None,
            speed: Clearable(MaybeUndefined::Null),
            devices: Clearable(MaybeUndefined::Undefined),
            sessions: Clearable(MaybeUndefined::Value(2)),
            session_excess: None,
            lifetime: Clearable(MaybeUndefined::Undefined),
            traffic: Clearable(MaybeUndefined::Undefined),
        }
    }
}

impl Example for Group {
    fn example() -> Self {
        let at = |seconds| Timestamp::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default());
        let mut faults = Faults::default();
        let reach = parsed_reach(&mut faults, REACH, &[ReachBody::example()]);
        Self {
            name: "sales".to_owned(),
            revision: 3,
            pool: None,
            reach: Some(reach.into_iter().map(ReachView::of).collect()),
            routes: Vec::new(),
            speed: Some(SpeedBody::example()),
            devices: Some(3),
            sessions: Some(2),
            session_excess: Excess::OldestEnds,
            lifetime: Some("90days".to_owned()),
            traffic: QuotaBody::example().into_quota(QUOTA).ok().as_ref().map(QuotaView::of),
            users: 120,
            nodes: 3,
            nodes_applied: 3,
            created_at: at(1_795_000_000),
            changed_at: at(1_795_086_400),
        }
    }
}
