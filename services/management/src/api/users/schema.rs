//! A user in the API: the bodies of requests and of answers.

use chrono::{DateTime, Utc};
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{Enum, Object};
use uuid::Uuid;
use vpnmanager_entities::{placement, user};
use vpnmanager_nats::own_rules::OwnRules;
use vpnmanager_openapi::Clearable;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::traffic::UserTraffic;
use crate::api::limits::{EffectiveLimitsView, OwnLimitsBody, OwnLimitsChanges, OwnLimitsView};
use crate::api::scalars::{GroupText, ServerIdText, UsernameText};
use crate::domain::actor::Actor;
use crate::domain::own_limits::OwnLimits;
use crate::domain::own_rules::own_rules_of;
use crate::domain::placement::Home;
use crate::domain::quota::Counted;
use crate::ops::users::change::UserChange;
use crate::ops::users::create::NewUser;
use crate::ops::users::effective_limits::Effective;
use crate::ops::users::read::UserView;

/// A user to create.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "NewUser")]
pub(crate) struct NewUserBody {
    /// The name: a letter or digit, then letters, digits, `.`, `_`, `@` or `-`. Not the word DEFAULT.
    username: UsernameText,
    /// `false`: suspended from the start. The profile is made, and lets nobody in until a change says `true`. `true` when it is left out.
    active: Option<bool>,
    /// When access ends, in the future; `null`: it does not end by itself. Left out: as the `lifetime` of the group says.
    expires_at: Clearable<Timestamp>,
    /// The group, `default` when it is left out.
    group: Option<GroupText>,
    /// Own values of the user; what they leave out is as the group says.
    limits: Option<OwnLimitsBody>,
    /// The home server, which must not be lost, and be in the pool of the group if that names one; management chooses one when it is left out.
    server_id: Option<ServerIdText>,
}

/// What to change; fields that are left out keep their value.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct UserChanges {
    /// `false` suspends the user, `true` ends the suspension.
    active: Option<bool>,
    /// When access ends, in the future; `null`: it does not end by itself.
    expires_at: Clearable<Timestamp>,
    /// The group. Servers, devices, own values and the end of access stay as they are.
    group: Option<GroupText>,
    /// Own values of the user; `null` takes all of them away.
    limits: Clearable<OwnLimitsChanges>,
}

/// A user, and its state on each of its servers.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct User {
    /// The name, unique among users that are not removed.
    username: String,
    /// The key of the user on the bus and in logs, never reused.
    key: Uuid,
    /// The revision of the user; it starts at 1 and grows by one with each change.
    revision: i64,
    /// Whether the user is not suspended. One whose time is over (`expired`), or who is over its quota (`over_quota`), has no access either.
    active: bool,
    /// When access ends; absent: it does not end by itself.
    expires_at: Option<Timestamp>,
    /// Whether `expires_at` has passed.
    expired: bool,
    /// The group that the user is in.
    group: String,
    /// Own values of the user; what is absent is as the group says.
    limits: OwnLimitsView,
    /// The group in which servers know the user, because of its own `reach`, `routes` or `speed`: it is named in their logs and faults. Users of one
    /// group with the same own values share it. Absent: that of `group`.
    node_group: Option<String>,
    /// What holds for the user, and who says so. Absent in lists, and in answers to changes.
    effective_limits: Option<EffectiveLimitsView>,
    /// Whether the user is over its quota, be it its own or that of its group. Access comes back when the next period begins, when the quota or the
    /// group is changed so that there is room, or when an operator forgives what was used.
    over_quota: bool,
    /// Since when the user is over the quota.
    over_quota_since: Option<Timestamp>,
    /// What is used of the quota. Absent where neither the user nor the group has one, in lists, and in answers to changes.
    traffic: Option<UserTraffic>,
    /// Whether all servers have applied this revision, and the profile of each device exists.
    synced: bool,
    /// The home: the server that creates and keeps the profile.
    server_id: String,
    /// When the user was created.
    created_at: Timestamp,
    /// Who created the user: `key:<name>` or `node:<id>`.
    created_by: String,
    /// When the user was removed.
    removed_at: Option<Timestamp>,
    /// SHA-256 of the profile of the device `default`, lower-case hex; absent until that exists.
    checksum: Option<String>,
    /// The path of the profile of the device `default` on the home server.
    ovpn_path: Option<String>,
    /// The port of the home server that clients connect to, of the first of its `listeners`.
    port: i32,
    /// The transport of the home server, of the first of its `listeners`: `udp` or `tcp`.
    protocol: String,
    /// When a session of the user was last seen.
    last_access: Option<Timestamp>,
    /// The servers of the user, the home first; also those that have not removed the user yet.
    nodes: Vec<UserNode>,
}

/// The state of a user on one server.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct UserNode {
    /// The server.
    server_id: String,
    /// The role of the server for this user.
    role: NodeRole,
    /// The revision that the server should apply.
    wanted_revision: i64,
    /// The revision that the server has applied; below `wanted_revision`: pending.
    applied_revision: i64,
    /// When it applied that revision, by its clock.
    applied_at: Option<Timestamp>,
    /// The result of the latest command.
    outcome: Option<NodeOutcome>,
    /// Why the command was not applied, or a note for the operator.
    error: Option<String>,
}

/// The role of a server for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum NodeRole {
    /// Creates and keeps the profile.
    Home,
    /// Accepts the same profile.
    Standby,
}

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum NodeOutcome {
    /// The server has applied it.
    Applied,
    /// The server could not apply it, and tries again.
    Failed,
    /// The server will never apply it.
    Refused,
    /// The server has a newer revision.
    Superseded,
}

impl User {
    pub(super) fn of(view: UserView) -> Self {
        let UserView { user, placements } = view;
        let mut placements = placements;
        placements.sort_by_key(|placement| placement.role != placement::Role::Home);
        Self::new(user, placements.into_iter().map(UserNode::of).collect())
    }

    /// A removed user that all servers have removed.
    pub(super) fn gone(view: UserView) -> Self {
        let mut gone = Self::of(view);
        gone.synced = true;
        for node in &mut gone.nodes {
            node.applied_revision = node.wanted_revision;
            // The audit trail keeps when each node did it; what stands here is of the revision before.
            node.applied_at = None;
            node.outcome = Some(NodeOutcome::Applied);
            node.error = None;
        }
        gone
    }

    /// The same with what the user has used of its quota.
    pub(super) fn with_traffic(self, counted: Option<Counted>) -> Self {
        Self {
            traffic: counted.as_ref().map(UserTraffic::of),
            ..self
        }
    }

    /// The same with what holds for the user.
    pub(super) fn with_limits(self, effective: Effective) -> Self {
        Self {
            effective_limits: Some(EffectiveLimitsView::of(effective)),
            ..self
        }
    }

    /// Whether all servers have applied it.
    pub(in crate::api) fn is_synced(&self) -> bool {
        self.synced
    }

    /// The path of the user in this API.
    pub(super) fn location(&self) -> String {
        format!("/api/users/{}", self.username)
    }

    fn new(user: user::Model, nodes: Vec<UserNode>) -> Self {
        Self {
            limits: OwnLimitsView::of(OwnLimits::of(&user), own_rules_of(&user)),
            node_group: user.own_group.as_ref().map(ToString::to_string),
            effective_limits: None,
            expired: user.expires_at.is_some_and(|end| end <= Utc::now()),
            over_quota: user.over_quota_since.is_some(),
            over_quota_since: user.over_quota_since.map(Timestamp::from),
            traffic: None,
            username: user.username.to_string(),
            key: user.key.0,
            revision: user.revision,
            active: user.active,
            expires_at: user.expires_at.map(Timestamp::from),
            group: user.group_name.to_string(),
            synced: user.synced,
            server_id: user.server_id.to_string(),
            created_at: user.created_at.into(),
            created_by: user.created_by,
            removed_at: user.removed_at.map(Timestamp::from),
            checksum: user.checksum,
            ovpn_path: user.ovpn_path,
            port: user.port,
            protocol: user.protocol.to_string(),
            last_access: user.last_access.map(Timestamp::from),
            nodes,
        }
    }
}

impl UserNode {
    fn of(placement: placement::Model) -> Self {
        Self {
            server_id: placement.server_id.to_string(),
            role: match placement.role {
                placement::Role::Home => NodeRole::Home,
                placement::Role::Standby => NodeRole::Standby,
            },
            wanted_revision: placement.wanted_revision,
            applied_revision: placement.applied_revision,
            applied_at: placement.applied_at.map(Timestamp::from),
            outcome: placement.outcome.map(|outcome| match outcome {
                placement::Outcome::Applied => NodeOutcome::Applied,
                placement::Outcome::Failed => NodeOutcome::Failed,
                placement::Outcome::Refused => NodeOutcome::Refused,
                placement::Outcome::Superseded => NodeOutcome::Superseded,
            }),
            error: placement.error,
        }
    }
}

impl NewUserBody {
    pub(super) fn into_new_user(self, actor: &Actor) -> Result<NewUser, ApiError> {
        let own = self.limits.map(OwnLimitsBody::into_own).transpose()?;
        let (limits, rules) = own.unwrap_or_default();
        Ok(NewUser {
            active: self.active.unwrap_or(true),
            expires_at: end(self.expires_at)?,
            group: self.group.map(|group| group.0).unwrap_or_default(),
            limits,
            rules,
            home: self.server_id.map_or(Home::Any, |id| Home::Named(id.0)),
            ..NewUser::named(self.username.0, actor.clone())
        })
    }
}

impl UserChanges {
    pub(super) fn into_change(self) -> Result<UserChange, ApiError> {
        let (limits, rules) = OwnLimitsChanges::changes_of(self.limits)?;
        Ok(UserChange {
            active: self.active,
            expires_at: end(self.expires_at)?,
            group: self.group.map(|group| group.0),
            limits,
            rules,
        })
    }
}

/// `None`: not said. `Some(None)`: access does not end by itself.
fn end(expires_at: Clearable<Timestamp>) -> Result<Option<Option<DateTime<Utc>>>, ApiError> {
    match expires_at.said() {
        None => Ok(None),
        Some(None) => Ok(Some(None)),
        Some(Some(end)) => Ok(Some(Some(in_the_future(end)?))),
    }
}

/// Refuses a time that has passed: the caller made a mistake.
pub(in crate::api) fn in_the_future(expires_at: Timestamp) -> Result<DateTime<Utc>, ApiError> {
    let expires_at = expires_at.to_utc();
    if expires_at > Utc::now() {
        Ok(expires_at)
    } else {
        Err(ApiError::conflict("expires_at", "must be in the future"))
    }
}

impl Example for NewUserBody {
    fn example() -> Self {
        // Both are valid; the type has no other way in.
        let (Ok(username), Some(expires_at)) = ("alice".parse(), DateTime::from_timestamp(1_900_000_000, 0)) else {
            unreachable!("the example is valid");
        };
        Self {
            username: UsernameText(username),
            active: None,
            expires_at: Clearable(MaybeUndefined::Value(expires_at.into())),
            group: None,
            limits: None,
            server_id: None,
        }
    }
}

impl Example for UserChanges {
    fn example() -> Self {
        Self {
            active: Some(false),
            expires_at: Clearable(MaybeUndefined::Undefined),
            group: None,
            limits: Clearable(MaybeUndefined::Value(OwnLimitsChanges::example())),
        }
    }
}

impl Example for User {
    fn example() -> Self {
        let at = |seconds| Timestamp::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default());
        Self {
            username: "alice".to_owned(),
            key: Uuid::from_u128(0x0193_5a8c_7d2e_7c31_9b1f_3f2a_6c0d_8e51),
            revision: 1,
            active: true,
            expires_at: Some(at(1_804_000_000)),
            expired: false,
            group: "default".to_owned(),
            limits: OwnLimitsView::of(
                OwnLimits {
                    devices: Some(2),
                    ..OwnLimits::default()
                },
                OwnRules::default(),
            ),
            node_group: None,
            effective_limits: None,
            over_quota: false,
            over_quota_since: None,
            traffic: None,
            synced: true,
            server_id: "endnode-1".to_owned(),
            created_at: at(1_795_000_000),
            created_by: "key:admin".to_owned(),
            removed_at: None,
            checksum: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned()),
            ovpn_path: Some("/var/lib/vpnmanager/endnode/profiles/alice.k3nq6zt5m7wd2xya.ovpn".to_owned()),
            port: 1194,
            protocol: "udp".to_owned(),
            last_access: None,
            nodes: vec![UserNode {
                server_id: "endnode-1".to_owned(),
                role: NodeRole::Home,
                wanted_revision: 1,
                applied_revision: 1,
                applied_at: Some(at(1_795_000_001)),
                outcome: Some(NodeOutcome::Applied),
                error: None,
            }],
        }
    }
}
